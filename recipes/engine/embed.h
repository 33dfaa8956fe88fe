// Vectors of texts, by a trained encoder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/tokenizer.h"
#include "nn/models/encoder.h"
#include "recipes/engine/checkpoint.h"
#include "recipes/engine/task.h"

namespace heed::recipes {

struct EmbedOptions {
  std::string pool;                   ///< "cls", "mean", "max"; empty: the model's, and its pooler
  std::optional<bool> normalise;      ///< the model's where not given
  std::optional<std::string> prompt;  ///< before every text; not given: the folder's default
  std::string prompt_name;            ///< of the folder's prompts, instead
  int64_t max_tokens = 0;             ///< 0: as the folder says, else the model's context
  int64_t batch_size = 32;
};

struct Embeddings {
  Tensor vectors;         ///< f32 [texts, dim]
  int64_t tokens = 0;     ///< that were read, special ones included
  int64_t truncated = 0;  ///< texts that lost their end
};

class TextEmbedder {
 public:
  /// The encoder of a run (its latest good checkpoint) or checkpoint, with the averaged weights
  /// where there are any and `evaluation.use_ema`. A RequestError: a model that is no encoder, a
  /// checkpoint without a tokenizer, a prompt's name that is not known, more tokens than the model
  /// takes.
  TextEmbedder(const std::string& run_or_checkpoint, const EmbedOptions& options,
               const Warning& warn = {});

  /// A vector a text, in their order. They are read in batches of texts of about the same length,
  /// which does not change a vector beyond rounding. A text of more than max_tokens() loses its
  /// end, and keeps the special tokens around it. A RequestError for a text without a token.
  Embeddings embed(std::span<const std::string> texts, const Progress& progress = {});

  int64_t dim() const { return encoder_->options().dim; }
  /// Special ones included.
  int64_t max_tokens() const { return max_tokens_; }
  const std::string& checkpoint() const { return checkpoint_; }

 private:
  std::vector<data::TokenId> tokens_of(const std::string& text, bool& truncated) const;
  Tensor vectors_of(std::span<const std::vector<data::TokenId>* const> rows);

  EmbedOptions options_;
  std::string checkpoint_, prompt_;
  bool lower_case_ = false;
  int64_t max_tokens_ = 0;
  std::unique_ptr<data::Tokenizer> tokenizer_;
  std::unique_ptr<nn::Encoder> encoder_;
};

/// Cosines of all pairs of rows of [N, C], f64 [N, N]; of a row of zeros 0.
Tensor cosines(const Tensor& vectors);

}  // namespace heed::recipes
