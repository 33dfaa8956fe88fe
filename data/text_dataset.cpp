#include "data/text_dataset.h"

#include <algorithm>

#include "core/files.h"
#include "core/random.h"
#include "data/bpe.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/registry.h"
#include "data/unicode.h"

namespace heed::data {
namespace {

using Documents = std::vector<Document>;

std::vector<std::string_view> texts_of(const Documents& documents) {
  std::vector<std::string_view> texts;
  for (const Document& document : documents) texts.emplace_back(document.text);
  return texts;
}

int64_t bytes_of(const Documents& documents) {
  int64_t sum = 0;
  for (const Document& document : documents) sum += static_cast<int64_t>(document.text.size());
  return sum;
}

// Moves the last bytes of the documents, from `keep` on, to a second list.
Documents split_tail(Documents& documents, int64_t keep) {
  Documents tail;
  int64_t begin = 0;
  for (Document& document : documents) {
    const auto size = static_cast<int64_t>(document.text.size());
    const int64_t room = std::clamp<int64_t>(keep - begin, 0, size);
    begin += size;
    if (room == size) continue;
    const size_t at = floor_to_character(document.text, static_cast<size_t>(room));
    tail.push_back({document.path, document.text.substr(at)});
    document.text.resize(at);
  }
  std::erase_if(documents, [](const Document& document) { return document.text.empty(); });
  return tail;
}

// The part of a path that is the same wherever the files stand: what follows their common folder.
size_t common_folder(const Documents& documents) {
  std::string_view common = documents.front().path;
  for (const Document& document : documents) {
    const auto differ =
        std::mismatch(common.begin(), common.end(), document.path.begin(), document.path.end());
    common = common.substr(0, static_cast<size_t>(differ.first - common.begin()));
  }
  const size_t slash = common.rfind('/');
  return slash == std::string_view::npos ? 0 : slash + 1;
}

// Moves whole documents, in the order of their paths' hashes, until they hold `wanted` bytes; at
// least one moves and one stays.
Documents split_files(Documents& documents, int64_t wanted) {
  const size_t folder = common_folder(documents);
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t i = 0; i < documents.size(); ++i) {
    const std::string_view name = std::string_view(documents[i].path).substr(folder);
    order.emplace_back(mix(hash_name(name)), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<char> moves(documents.size(), 0);
  int64_t moved = 0;
  for (size_t i = 0; i + 1 < order.size() && (i == 0 || moved < wanted); ++i) {
    moves[order[i].second] = 1;
    moved += static_cast<int64_t>(documents[order[i].second].text.size());
  }
  Documents stay, held_out;
  for (size_t i = 0; i < documents.size(); ++i) {
    (moves[i] != 0 ? held_out : stay).push_back(std::move(documents[i]));
  }
  documents = std::move(stay);
  return held_out;
}

Documents hold_out(Documents& documents, const TextOptions& options, const SourceLocation& where) {
  const int64_t total = bytes_of(documents);
  if (options.split == "tail") {
    const auto keep = static_cast<int64_t>(static_cast<double>(total) * (1 - options.validation));
    return split_tail(documents, keep);
  }
  if (documents.size() < 2) {
    fail_request(where, "split: files needs two files or more; use split: tail for one");
  }
  return split_files(documents,
                     static_cast<int64_t>(static_cast<double>(total) * options.validation));
}

std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerOptions& options, const Documents& train,
                                          const Documents& validation,
                                          const SourceLocation& where) {
  if (!options.file.empty()) return load_tokenizer(expand_path(options.file, where));
  if (options.type == "bytes") return std::make_unique<ByteTokenizer>();
  std::vector<std::string_view> texts = texts_of(train);
  if (options.type == "chars") {
    for (const Document& document : validation) texts.emplace_back(document.text);
    return std::make_unique<CharTokenizer>(CharTokenizer::from_texts(texts));
  }
  if (options.type == "bpe") {
    return std::make_unique<BpeTokenizer>(train_bpe(texts, {.vocab_size = options.vocab_size}));
  }
  fail_request("unknown tokenizer '{}' (known: bytes, chars, bpe)", options.type);
}

Split make_split(const Documents& documents, const Tokenizer& tokenizer) {
  Split split{Tokens(tokenizer.vocab_size()), bytes_of(documents),
              static_cast<int64_t>(documents.size())};
  std::vector<TokenId> ids;
  for (const Document& document : documents) {
    ids.clear();
    if (split.tokens.size() > 0 && tokenizer.end_of_text()) {
      split.tokens.append(std::vector<TokenId>{*tokenizer.end_of_text()});
    }
    try {
      tokenizer.encode(document.text, ids);
    } catch (const RequestError& error) {
      fail_request("'{}': {}", document.path, error.what());
    }
    split.tokens.begin_document();
    split.tokens.append(ids);
  }
  return split;
}

std::string describe(const TextDataset& dataset, const TextSource& source) {
  const Split &train = dataset.train, &held = dataset.validation;
  std::string text = fmt::format(
      "{} for training ({} {}, {} tokens) and {} held out ({} tokens); tokenizer {} of {}",
      format_bytes(train.bytes), train.documents, train.documents == 1 ? "document" : "documents",
      train.tokens.size(), format_bytes(held.bytes), held.tokens.size(), dataset.tokenizer->type(),
      dataset.vocab_size());
  if (source.capped) text += "; cut at max_bytes";
  return text + not_text(source.skipped);
}

}  // namespace

std::unique_ptr<TextDataset> make_text_dataset(TextSource train, TextSource validation,
                                               const TextOptions& options,
                                               const SourceLocation& where) {
  if (train.documents.empty()) fail_request(where, "there is no text to train on");
  if (validation.documents.empty() && options.validation > 0) {
    validation.documents = hold_out(train.documents, options, where);
  }
  if (train.documents.empty()) {
    fail_request(where, "nothing is left to train on: the text is too short to hold some out");
  }
  auto dataset = std::make_unique<TextDataset>();
  dataset->tokenizer =
      make_tokenizer(options.tokenizer, train.documents, validation.documents, where);
  dataset->train = make_split(train.documents, *dataset->tokenizer);
  dataset->validation = make_split(validation.documents, *dataset->tokenizer);
  dataset->summary = describe(*dataset, train);
  return dataset;
}

std::unique_ptr<TextDataset> open_text_dataset(const TextDatasetOptions& options,
                                               const SourceLocation& where) {
  TextSource validation;
  if (!options.validation_files.empty()) {
    validation = read_text(options.validation_files, options.text.max_bytes, where, options.field);
  }
  return make_text_dataset(read_text(options.files, options.text.max_bytes, where, options.field),
                           std::move(validation), options.text, where);
}

std::unique_ptr<TextDataset> open_text_dataset(const Config& config) {
  const Config* type = config.find("type");
  const DatasetEntry& entry = find_dataset(type == nullptr ? "text" : type->as_string(),
                                           type == nullptr ? config.where() : type->where());
  if (!entry.open_text) {
    fail_request(type->where(),
                 fmt::format("the dataset '{}' ({}) is no stream of text", entry.name, entry.kind));
  }
  return entry.open_text(config);
}

}  // namespace heed::data
