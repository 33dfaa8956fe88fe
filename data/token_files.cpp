#include "data/token_files.h"

#include <algorithm>

#include "core/files.h"
#include "core/readable.h"

namespace heed::data {
namespace {

void append_tokens(const std::string& path, size_t width, int64_t vocab,
                   std::vector<TokenId>& ids) {
  const std::string bytes = read_file(path);
  if (bytes.size() % width != 0) {
    fail_request(SourceLocation{path}, fmt::format("{} bytes are no whole number of integers of {}",
                                                   bytes.size(), width));
  }
  ids.reserve(ids.size() + bytes.size() / width);
  for (size_t at = 0; at < bytes.size(); at += width) {
    uint32_t id = 0;
    for (size_t i = width; i-- > 0;) id = id << 8 | static_cast<unsigned char>(bytes[at + i]);
    if (static_cast<int64_t>(id) >= vocab) {
      fail_request(SourceLocation{path},
                   fmt::format("byte {}: the id {} is outside the tokenizer's vocabulary of {}", at,
                               id, vocab));
    }
    ids.push_back(static_cast<TokenId>(id));
  }
}

std::vector<TokenId> read_tokens(const std::vector<std::string>& patterns, size_t width,
                                 int64_t vocab, const SourceLocation& where) {
  std::vector<TokenId> ids;
  if (patterns.empty()) return ids;
  for (const std::string& path : find_text_files(patterns, where)) {
    append_tokens(path, width, vocab, ids);
  }
  return ids;
}

Split make_split(std::span<const TokenId> ids, const Tokenizer& tokenizer) {
  int64_t documents = ids.empty() ? 0 : 1;
  if (const auto end = tokenizer.end_of_text(); end && !ids.empty()) {
    documents += std::count(ids.begin() + 1, ids.end() - 1, *end);
  }
  return {Tokens(ids, tokenizer.vocab_size()), tokenizer.text_bytes(ids), documents};
}

}  // namespace

void TokenFilesOptions::TokenizerFile::options(Options& o) {
  o.field("file", file,
          "the tokenizer.json that the ids are of (or its folder, or GPT-2's with vocab.json and "
          "merges.txt)",
          {.required = true});
}

void TokenFilesOptions::options(Options& o) {
  o.field("files", files,
          "files of token ids, or glob patterns; ${NAME} is an environment variable",
          {.required = true});
  o.field("validation_files", validation_files,
          "files to hold out, instead of a fraction of `files`");
  o.field("integer", integer, "what an id is written as, little-endian",
          {.one_of = {"u16", "u32"}});
  o.field("validation", validation, "fraction of the tokens held out; 0 for none",
          {.min = 0, .below = 1});
  o.field("tokenizer", tokenizer, "what the ids mean");
}

std::unique_ptr<TextDataset> open_token_files(const TokenFilesOptions& options,
                                              const SourceLocation& where) {
  auto dataset = std::make_unique<TextDataset>();
  dataset->tokenizer = load_tokenizer(expand_path(options.tokenizer.file, where));
  const Tokenizer& tokenizer = *dataset->tokenizer;
  const size_t width = options.integer == "u16" ? 2 : 4;
  const int64_t vocab = tokenizer.vocab_size();
  const std::vector<TokenId> ids = read_tokens(options.files, width, vocab, where);
  const std::vector<TokenId> held = read_tokens(options.validation_files, width, vocab, where);
  if (ids.empty()) fail_request(where, "there are no tokens to train on");
  std::span<const TokenId> train(ids), validation(held);
  if (held.empty()) {
    const auto keep =
        static_cast<size_t>(static_cast<double>(ids.size()) * (1 - options.validation));
    train = std::span(ids).first(keep);
    validation = std::span(ids).subspan(keep);
  }
  dataset->train = make_split(train, tokenizer);
  dataset->validation = make_split(validation, tokenizer);
  dataset->summary = fmt::format(
      "{} tokens for training ({} of text) and {} held out; tokenizer {} of {}", train.size(),
      format_bytes(dataset->train.bytes), validation.size(), tokenizer.type(), vocab);
  return dataset;
}

}  // namespace heed::data
