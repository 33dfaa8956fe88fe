// A text dataset: files, a tokenizer, and their tokens in a training and a validation split.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/batches.h"
#include "data/text_source.h"
#include "data/token_stream.h"
#include "data/tokenizer.h"
#include "data/tokens.h"

namespace heed::data {

struct TokenizerOptions {
  std::string type = "bytes";
  int64_t vocab_size = 1024;
  std::string file;

  void options(Options& o);
};

/// What every text dataset takes.
struct TextOptions {
  TokenizerOptions tokenizer;
  double validation = 0.1;
  std::string split = "tail";
  int64_t max_bytes = 0;

  void options(Options& o);
};

struct TextDatasetOptions {
  std::vector<std::string> files;
  std::vector<std::string> validation_files;
  std::string field = "text";
  TextOptions text;

  void options(Options& o);
};

/// One split: its tokens, and the bytes of text that they stand for.
struct Split {
  Tokens tokens;
  int64_t bytes = 0;
  int64_t documents = 0;
};

struct TextDataset {
  std::unique_ptr<Tokenizer> tokenizer;
  Split train;
  Split validation;  ///< empty when options.validation is 0 and there are no validation files
  /// A mixture's corpora among the training tokens; empty: one corpus.
  std::vector<CorpusRange> corpora;
  /// Where the training tokens come from when they are a stream; `train` is then empty.
  std::optional<TokenStreamOptions> stream;
  std::string summary;  ///< one line: what was found, the splits' sizes, the vocabulary

  int64_t vocab_size() const { return tokenizer->vocab_size(); }
};

/// Opens the `data:` section of a recipe: `type` names an entry of the dataset registry ("text"
/// when absent), the other keys are its options. RequestErrors carry the recipe's line.
std::unique_ptr<TextDataset> open_text_dataset(const Config& config);

/// Opens files (type "text"); `where` is the place for errors.
std::unique_ptr<TextDataset> open_text_dataset(const TextDatasetOptions& options,
                                               const SourceLocation& where = {});

/// Splits, tokenizes and counts documents already read. With `validation` not empty it is the
/// validation split, and options.validation is not used.
///   split "tail"   the last fraction of the text's bytes, as nanoGPT (cut at a UTF-8 character)
///   split "files"  whole documents, drawn by a hash of their paths, until the fraction is reached
/// A trained BPE sees the training split only; chars takes the characters of both. Documents are
/// joined by the end-of-text token, where the tokenizer has one.
std::unique_ptr<TextDataset> make_text_dataset(TextSource train, TextSource validation,
                                               const TextOptions& options,
                                               const SourceLocation& where = {});

}  // namespace heed::data
