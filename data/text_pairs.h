// Pairs of texts, the second to be written when the first is read: rows of CSV, TSV or JSON lines
// (translations, summaries, questions and answers), or made by rules.
//
// Both sides have one tokenizer. One id more than its own, or its end-of-text token where it has
// one, ends every target and stands before it as what the decoder reads first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/example_tokenizer.h"
#include "data/hold_out.h"
#include "data/labelled_dataset.h"
#include "data/procedural_scenes.h"
#include "data/text_table.h"

namespace heed::data {

struct TextPair {
  std::string source, target;
};

/// What every dataset of pairs takes.
struct PairOptions {
  ExampleTokenizerOptions tokenizer = {.type = "chars"};
  int64_t max_source = 256;
  int64_t max_target = 256;
  void options(Options& o);
};

/// `source` and `target` name columns as in read_table().
struct PairTableOptions {
  std::vector<std::string> train, validation, test;
  TableOptions table;
  std::string source = "0";
  std::string target = "1";
  std::string encoding = "utf-8";
  HoldOutOptions held_out;
  PairOptions pairs;
  void options(Options& o);
};

struct SyntheticPairOptions {
  std::string task = "reverse";
  int64_t min_length = 1;
  int64_t length = 8;
  int64_t symbols = 10;
  int64_t depth = 2;
  ProceduralParts parts;
  PairOptions pairs;
  void options(Options& o);
};

struct PairBatch {
  Tensor ids;         ///< i64 [B, N], padded on the right with 0; N: the longest row's
  Tensor lengths;     ///< i64 [B], each >= 1
  Tensor targets;     ///< i64 [B, M], each row's end id its last; kIgnoreTarget behind it
  int64_t index = 0;  ///< its number, from 0
  int64_t rows = 0;   ///< that are no padding
  int64_t count = 0;  ///< targets that are not padding
};

class TextPairs {
 public:
  struct Parts {
    std::vector<TextPair> train, validation, test;
  };
  TextPairs(const Parts& parts, const PairOptions& options, const SourceLocation& where = {});

  int64_t size(Part part) const;
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::string& summary() const { return summary_; }
  /// Tokens of the longest source; of the longest target, its end id included.
  int64_t longest_source() const { return longest_source_; }
  int64_t longest_target() const { return longest_target_; }
  /// The same of a training pair on average, rounded.
  int64_t mean_source() const;
  int64_t mean_target() const;

  /// Training batch `index` >= 0 of an endless sequence: every pair once an epoch, in an order
  /// drawn by (seed, epoch).
  PairBatch train_batch(int64_t index, const LabelledBatchOptions& options) const;
  /// Batch `index` of a part in its order; the last one is filled up with padding.
  PairBatch evaluation_batch(Part part, int64_t index, const LabelledBatchOptions& options) const;
  int64_t evaluation_batches(Part part, int64_t batch) const;

 private:
  using Ids = std::vector<TokenId>;
  struct Example {
    Ids source, target;
  };
  Example encoded(const TextPair& pair, const PairOptions& options) const;
  int64_t mean_length(Ids Example::*side) const;
  PairBatch gather(Part part, const std::vector<int64_t>& examples) const;

  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<Example> parts_[3];
  int64_t longest_source_ = 1, longest_target_ = 1;
  std::string summary_;
};

/// The id that begins and ends a target.
int64_t end_id(const Tokenizer& tokenizer);

std::unique_ptr<TextPairs> open_pair_table(const PairTableOptions& options,
                                           const SourceLocation& where = {});

/// The pair `index` of a rule; a function of (options, part, index) alone.
///   copy, reverse   letters, the same again or from behind
///   sort            letters in alphabetical order
///   listops         nested MAX, MIN, MED and SM of digits (data/listops.h) and the value
TextPair synthetic_pair(const SyntheticPairOptions& options, Part part, int64_t index);
std::unique_ptr<TextPairs> open_synthetic_pairs(const SyntheticPairOptions& options,
                                                const SourceLocation& where = {});

}  // namespace heed::data
