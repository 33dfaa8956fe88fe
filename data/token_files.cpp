#include "data/token_files.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>

#include "core/files.h"
#include "core/readable.h"

namespace heed::data {
namespace {

// Files of ids that are written in `width` bytes each.
class IdFiles {
 public:
  IdFiles(const std::vector<std::string>& patterns, size_t width, const SourceLocation& where)
      : width_(width) {
    if (!patterns.empty()) paths_ = find_text_files(patterns, where);
    for (const std::string& path : paths_) {
      files_.push_back(std::make_unique<MappedFile>(path));
      const size_t bytes = files_.back()->bytes().size();
      if (bytes % width != 0) {
        fail_request(SourceLocation{path},
                     fmt::format("{} bytes are no whole number of integers of {}", bytes, width));
      }
      size_ += static_cast<int64_t>(bytes / width);
    }
  }

  int64_t size() const { return size_; }

  /// Calls `take` with the ids [begin, end) of all, piece by piece.
  void read(int64_t begin, int64_t end, int64_t vocab,
            const std::function<void(std::span<const TokenId>)>& take) const {
    int64_t first = 0;  // of a file
    for (size_t f = 0; f < files_.size(); ++f) {
      const std::span<const std::byte> bytes = files_[f]->bytes();
      const auto ids = static_cast<int64_t>(bytes.size() / width_);
      const int64_t stop = std::min(end - first, ids);
      for (int64_t at = std::max<int64_t>(begin - first, 0); at < stop; at += kPiece) {
        take(piece(f, at, std::min(stop, at + kPiece), vocab));
      }
      first += ids;
    }
  }

 private:
  static constexpr int64_t kPiece = 1 << 16;

  std::vector<TokenId> piece(size_t file, int64_t begin, int64_t end, int64_t vocab) const {
    const std::span<const std::byte> bytes = files_[file]->bytes();
    std::vector<TokenId> ids;
    ids.reserve(static_cast<size_t>(end - begin));
    for (size_t at = static_cast<size_t>(begin) * width_; at < static_cast<size_t>(end) * width_;
         at += width_) {
      uint32_t id = 0;
      for (size_t i = width_; i-- > 0;) id = id << 8 | std::to_integer<uint32_t>(bytes[at + i]);
      if (static_cast<int64_t>(id) >= vocab) {
        fail_request(SourceLocation{paths_[file]},
                     fmt::format("byte {}: the id {} is outside the tokenizer's vocabulary of {}",
                                 at, id, vocab));
      }
      ids.push_back(static_cast<TokenId>(id));
    }
    return ids;
  }

  size_t width_;
  int64_t size_ = 0;
  std::vector<std::string> paths_;
  std::vector<std::unique_ptr<MappedFile>> files_;
};

// A document begins behind every mark.
void append_documents(std::span<const TokenId> ids, std::optional<TokenId> mark, Tokens& tokens) {
  while (!ids.empty()) {
    const auto end = mark ? std::find(ids.begin(), ids.end(), *mark) : ids.end();
    const auto count = static_cast<size_t>(end - ids.begin()) + (end == ids.end() ? 0 : 1);
    tokens.append(ids.first(count));
    if (end != ids.end()) tokens.begin_document();
    ids = ids.subspan(count);
  }
}

Split make_split(const IdFiles& files, int64_t begin, int64_t end, const Tokenizer& tokenizer) {
  Split split;
  split.tokens = Tokens(tokenizer.vocab_size());
  if (begin == end) return split;
  split.tokens.reserve(end - begin);
  split.documents = 1;
  const std::optional<TokenId> mark = tokenizer.end_of_text();
  split.tokens.begin_document();
  files.read(begin, end, tokenizer.vocab_size(), [&](std::span<const TokenId> ids) {
    append_documents(ids, mark, split.tokens);
    split.bytes += tokenizer.text_bytes(ids);
    if (mark) split.documents += std::count(ids.begin(), ids.end(), *mark);
  });
  // Nothing lies before the first token nor behind the last.
  const int64_t last = split.tokens.size() - 1;
  if (mark && split.tokens[0] == *mark) --split.documents;
  if (mark && last > 0 && split.tokens[last] == *mark) --split.documents;
  return split;
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
  const IdFiles files(options.files, width, where), held(options.validation_files, width, where);
  int64_t kept = files.size();
  if (options.validation_files.empty()) {
    kept = static_cast<int64_t>(static_cast<double>(kept) * (1 - options.validation));
  }
  if (kept == 0) {
    fail_request(where,
                 fmt::format("there are no tokens to train on: the files have {}", files.size()));
  }
  dataset->train = make_split(files, 0, kept, tokenizer);
  dataset->validation = options.validation_files.empty()
                            ? make_split(files, kept, files.size(), tokenizer)
                            : make_split(held, 0, held.size(), tokenizer);
  dataset->summary =
      fmt::format("{} tokens for training ({} of text) and {} held out; tokenizer {} of {}", kept,
                  format_bytes(dataset->train.bytes), dataset->validation.tokens.size(),
                  tokenizer.type(), tokenizer.vocab_size());
  return dataset;
}

}  // namespace heed::data
