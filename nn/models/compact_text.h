// Compact Transformers of texts (Hassani et al., arXiv 2104.05704): word vectors become tokens by a
// convolution over time, and a class is read off them.
//   x = tokenizer(embed[ids]) (and a class token) + sinusoids;   blocks
//   logits = head(pool(norm(x)))
// A token counts when its window holds a word of the row. The others are keys of no query, but stay
// in the sequence: sequence pooling gives them weights too, as published, unless `mask_pool`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/layers/conv_tokenizer.h"
#include "nn/layers/embedding.h"
#include "nn/layers/linear.h"
#include "nn/layers/sequence_pool.h"
#include "nn/layers/sinusoidal_position.h"
#include "nn/models/classifier.h"
#include "nn/models/transformer_block.h"

namespace heed::nn {

struct CompactTextOptions {
  std::string preset;
  int64_t vocab = 0;
  int64_t context = 64;
  int64_t classes = 0;
  int64_t word_dim = 300;
  std::string stem = "convs";
  int64_t stem_kernel = 4;
  int64_t layers = 2;
  int64_t dim = 128;
  int64_t heads = 2;
  int64_t hidden = 128;
  std::string pool = "attention";
  bool mask_pool = false;
  std::string position = "sinusoidal";
  double dropout = 0.0;
  double attention_dropout = 0.1;
  double drop_path = 0.1;
  bool checkpointing = false;
  Config attention = Config(Config::Map{{"type", "softmax"}});

  void options(Options& o);
};

/// The names that `preset` may have: "text-cct-2-k1" (layers, taps), "text-cvt-2", "text-vit-2",
/// "text-transformer-2", ...
std::vector<std::string> compact_text_presets();
/// Reads a config: its preset, if it names one, changed by the other keys.
CompactTextOptions read_compact_text_options(const Config& config);

class CompactText : public Classifier {
 public:
  explicit CompactText(const CompactTextOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options_.classes; }
  Config config() const override;
  using Classifier::forward;
  Tensor forward(const Tensor& ids, const Tensor& lengths) override;
  double flops() const override;

  /// Tokens of a text of so many words, the class token included.
  int64_t tokens(int64_t words) const;
  const CompactTextOptions& options() const { return options_; }

  Embedding embed;
  std::unique_ptr<ConvTokenizer> tokenizer;        // or null: words are tokens
  Tensor cls;                                      // [1, 1, dim], or undefined
  std::unique_ptr<SinusoidalPosition> sinusoidal;  // or null
  Dropout dropout;
  BlockStack<TransformerBlock> blocks;
  std::unique_ptr<Norm> norm;
  std::unique_ptr<SequencePool> pool;  // or null
  Linear head;

 private:
  /// As many words or more: padding completes a patch of words.
  int64_t whole_words(int64_t words) const;
  /// The tokens that count of a row of `count` words among `words`: first <= t < second.
  std::pair<int64_t, int64_t> counted(int64_t count, int64_t words) const;

  CompactTextOptions options_;
};

}  // namespace heed::nn
