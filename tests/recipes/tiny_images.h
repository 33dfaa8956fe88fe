// Recipes on images and texts that train in a moment.
#pragma once

#include <string>

#include "tests/recipes/scratch.h"

namespace heed::recipes {

/// A residual network on gratings of 8 orientations.
inline std::string write_tiny_images(const Scratch& folder) {
  return folder.write("images.yaml", R"(
name: images
seed: 3
task: {type: classification, smoothing: 0.1}
data: {type: procedural-images, content: gratings, size: 12, train: 128, validation: 40, test: 24,
       transforms: [{type: random_crop, size: [12], padding: 1},
                    {type: normalise, mean: [0.5], std: [0.25]}]}
model: {type: resnet, blocks: [1], widths: [8]}
train: {steps: 12, batch_size: 6, accumulation: 2, log_every: 1, eval_every: 4,
        checkpoint_every: 4}
optimizer: {type: adamw, lr: 1e-2}
evaluation: {batch_size: 16, baselines: [majority]}
)");
}

/// A table of two kinds of text, told apart by a word: 60 for training, 20 for validation.
inline std::string write_tiny_texts(const Scratch& folder) {
  const char* const words[] = {"river", "stone", "cloud", "tree", "road"};
  for (const char* part : {"train", "validation"}) {
    std::string rows;
    const int count = part == std::string("train") ? 60 : 20;
    for (int i = 0; i < count; ++i) {
      std::string text;
      for (int w = 0; w <= i % 4; ++w) text += std::string(words[(i * 7 + w) % 5]) + " ";
      rows += std::to_string(i % 2) + "," + text + (i % 2 == 0 ? "good" : "bad") + "\n";
    }
    folder.write(std::string(part) + ".csv", rows);
  }
  return folder.write("texts.yaml", R"(
name: texts
seed: 3
task: {type: classification}
data: {type: text-table, train: [train.csv], validation: [validation.csv], max_length: 8,
       tokenizer: {type: words, min_count: 1}}
model: {type: gru_classifier, dim: 8, hidden: 8, dropout: 0.1}
train: {steps: 12, batch_size: 6, accumulation: 2, log_every: 1, eval_every: 4,
        checkpoint_every: 4}
optimizer: {type: adamw, lr: 1e-2}
evaluation: {batch_size: 16, baselines: [majority]}
)");
}

}  // namespace heed::recipes
