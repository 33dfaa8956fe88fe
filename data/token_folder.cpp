#include "data/token_folder.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/files.h"
#include "core/readable.h"
#include "data/token_shard.h"

namespace heed::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "heed-token-shards";
constexpr int kVersion = 1;

std::string in(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

int64_t count_of(const Config& entry, const char* key) {
  const int64_t value = entry.at(key).as_integer();
  if (value < 0) fail_request(entry.at(key).where(), fmt::format("{}: {} is negative", key, value));
  return value;
}

ShardEntry read_entry(const Config& entry) {
  ShardEntry shard{entry.at("file").as_string(), count_of(entry, "tokens"),
                   count_of(entry, "documents"), count_of(entry, "text_bytes"),
                   entry.at("sha256").as_string()};
  if (shard.file.empty() || shard.file[0] == '.' || shard.file.find('/') != shard.file.npos) {
    fail_request(entry.at("file").where(),
                 fmt::format("'{}' is no name of a file beside the index", shard.file));
  }
  return shard;
}

void check_format(const Config& index) {
  const Config* format = index.find("format");
  if (format == nullptr || !format->is_string() || format->as_string() != kFormat) {
    fail_request(index.where(),
                 fmt::format("not an index of token shards: its `format` is not {}", kFormat));
  }
  if (const Config& version = index.at("version"); version.as_integer() != kVersion) {
    fail_request(version.where(), fmt::format("version {} of token shards; {} is read",
                                              version.as_integer(), kVersion));
  }
}

Config read_index(const std::string& folder, const SourceLocation& where) {
  const std::string path = in(folder, kShardIndex);
  if (!fs::exists(path)) {
    if (fs::exists(in(folder, kShardRequest))) {
      fail_request(where, fmt::format("the token shards in '{}' are not complete: run the heed "
                                      "tokenize that began them once more",
                                      folder));
    }
    fail_request(where,
                 fmt::format("'{}' is no folder of token shards: it has no {} (heed tokenize "
                             "makes such a folder)",
                             folder, kShardIndex));
  }
  Config index = read_json_file(path);
  check_format(index);
  return index;
}

}  // namespace

Config shard_index(const std::vector<ShardEntry>& shards, const Tokenizer& tokenizer,
                   const std::string& digest) {
  Config list = Config::list();
  int64_t tokens = 0, documents = 0, text_bytes = 0;
  for (const ShardEntry& shard : shards) {
    list.append(Config::Map{{"file", shard.file},
                            {"tokens", shard.tokens},
                            {"documents", shard.documents},
                            {"text_bytes", shard.text_bytes},
                            {"sha256", shard.content_sum}});
    tokens += shard.tokens;
    documents += shard.documents;
    text_bytes += shard.text_bytes;
  }
  Config made_by = Config(Config::Map{
      {"type", tokenizer.type()}, {"vocab_size", tokenizer.vocab_size()}, {"sha256", digest}});
  return Config::Map{
      {"format", kFormat},        {"version", kVersion},
      {"tokenizer", made_by},     {"bytes_per_token", id_width(tokenizer.vocab_size())},
      {"tokens", tokens},         {"documents", documents},
      {"text_bytes", text_bytes}, {"shards", list}};
}

TokenFolder open_token_folder(const std::string& path, const SourceLocation& where) {
  const Config index = read_index(path, where);
  TokenFolder folder;
  folder.path = path;
  const Config& tokenizer = index.at("tokenizer");
  folder.tokenizer = tokenizer.at("sha256").as_string();
  const int64_t vocab = count_of(tokenizer, "vocab_size");
  if (vocab < 1 || vocab > int64_t{1} << 31) {
    fail_request(tokenizer.at("vocab_size").where(),
                 fmt::format("vocab_size: {} is none of 1 ... 2^31", vocab));
  }
  folder.description = fmt::format("{} of {}", tokenizer.at("type").as_string(), grouped(vocab));
  folder.tokens = Tokens(vocab);
  for (const Config& entry : index.at("shards").as_list()) {
    const ShardEntry shard = read_entry(entry);
    const std::string file = in(path, shard.file);
    auto mapped = std::make_shared<MappedFile>(file);
    const ShardHeader header = read_shard_header(mapped->bytes(), file);
    if (header.tokenizer != folder.tokenizer || header.vocab_size != vocab) {
      fail_request(SourceLocation{file}, "the shard is of another tokenizer than its folder's");
    }
    if (header.tokens != shard.tokens || header.documents != shard.documents ||
        header.content_sum != shard.content_sum) {
      fail_request(SourceLocation{file}, fmt::format("not the shard that {} lists", kShardIndex));
    }
    const bool first = folder.shards.empty();
    if (first && header.continues && header.tokens > 0) {
      fail_request(SourceLocation{file}, "the first shard begins within a document");
    }
    folder.tokens.append_piece(read_shard(mapped->bytes(), file, mapped));
    if (header.text_bytes > std::numeric_limits<int64_t>::max() - folder.text_bytes) {
      fail_request(SourceLocation{file},
                   fmt::format("text_bytes: {} more than the shards before are too many to count",
                               header.text_bytes));
    }
    folder.text_bytes += header.text_bytes;
    folder.shards.push_back(shard);
  }
  return folder;
}

std::vector<std::string> damaged_shards(const TokenFolder& folder) {
  std::vector<std::string> damaged;
  for (const ShardEntry& shard : folder.shards) {
    const std::string file = in(folder.path, shard.file);
    const MappedFile mapped(file);
    const ShardHeader header = read_shard_header(mapped.bytes(), file);
    if (!shard_is_whole(mapped.bytes(), header)) damaged.push_back(file);
  }
  return damaged;
}

}  // namespace heed::data
