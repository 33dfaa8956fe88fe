// A recipe that trains in a moment, and what tests compare of it.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "recipes/engine/recipe.h"
#include "recipes/engine/recipe_tree.h"
#include "recipes/engine/trainer.h"
#include "tests/recipes/scratch.h"

namespace heed::recipes {

inline std::string tiny_text() {
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text += "line " + std::to_string(i * i) + " of the text, " + std::to_string(i % 7) + "\n";
  }
  return text;
}

/// Writes text and recipe into the folder; returns the recipe's path.
inline std::string write_tiny(const Scratch& folder) {
  folder.write("text.txt", tiny_text());
  return folder.write("tiny.yaml", R"(
name: tiny
seed: 3
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: bytes}}
model: {type: gpt, layers: 2, dim: 16, heads: 2, context: 8, dropout: 0.1}
train: {steps: 12, batch_size: 3, accumulation: 2, ema: 0.9, clip: 1.0, log_every: 1,
        eval_every: 4, checkpoint_every: 4}
optimizer: {type: adamw, lr: 1e-2, weight_decay: 0.1}
schedule: {type: cosine, warmup_steps: 3, min_lr: 1e-3}
evaluation: {baselines: [unigram, ngram]}
)");
}

/// Trains into folder/<out>; with `resume` goes on.
inline EndReport train_tiny(const Scratch& folder, const std::string& out,
                            const std::vector<std::string>& overrides = {}, bool resume = false,
                            TrainObserver* observer = nullptr) {
  TrainRequest request;
  request.recipe = load_recipe(folder.path("tiny.yaml"), overrides);
  request.run_dir = folder.path(out);
  request.resume = resume;
  TrainObserver silent;
  return train(request, observer == nullptr ? silent : *observer);
}

/// Whether two tensors have the same bits.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

}  // namespace heed::recipes
