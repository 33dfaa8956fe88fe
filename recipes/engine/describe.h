// What a recipe would train, without training it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "recipes/engine/recipe.h"

namespace heed::recipes {

/// A module of the tree with its own and its children's parameters.
struct ModuleLine {
  std::string path;  ///< "" for the root
  int depth = 0;
  int64_t parameters = 0;            ///< of the whole subtree; tied ones count once
  std::vector<std::string> tensors;  ///< own tensors: "weight f32[128, 128]"
};

struct Description {
  std::string name;
  std::string description;
  std::string data;
  std::vector<ModuleLine> modules;
  int64_t parameters = 0;
  int64_t buffers = 0;
  int64_t items_per_step = 0;
  std::string item_name;
  double flops_per_step = 0.0;
  // Estimated bytes at the peak of a training step.
  int64_t parameter_bytes = 0;
  int64_t gradient_bytes = 0;
  int64_t optimizer_bytes = 0;
  int64_t ema_bytes = 0;
  int64_t activation_bytes = 0;
  int64_t total_bytes() const {
    return parameter_bytes + gradient_bytes + optimizer_bytes + ema_bytes + activation_bytes;
  }
};

Description describe(const Recipe& recipe);
/// For `heed describe --json`.
Config to_config(const Description& description);
/// For people: the tree, then the totals. `depth` < 0 shows all levels.
std::string to_text(const Description& description, int depth = -1);

}  // namespace heed::recipes
