// adapter_config.json of PEFT's low-rank adapters (github.com/huggingface/peft, "LoraConfig"): what
// of it has a meaning for heed's updates, in both directions.
//
//   y += lora_alpha / r  lora_B lora_A dropout(x)         use_rslora: lora_alpha / sqrt(r)
//                                                         (Kalajdzievski, arXiv 2312.03732)
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "recipes/engine/hf/family.h"

namespace heed::recipes::hf {

inline constexpr const char* kAdapterConfig = "adapter_config.json";
inline constexpr const char* kAdapterWeights = "adapter_model.safetensors";
/// Begins the names of an adapter's tensors.
inline constexpr const char* kAdapterPrefix = "base_model.model.";

struct PeftConfig {
  int64_t rank = 8;
  double alpha = 8.0;
  double dropout = 0.0;
  bool rslora = false;
  /// Modules with a rank or an alpha of their own: (the end of their name, the value).
  std::vector<std::pair<std::string, int64_t>> ranks = {};
  std::vector<std::pair<std::string, double>> alphas = {};
  std::vector<std::string> saved =
      {};  ///< modules_to_save: ends of names, of which some may be none

  int64_t rank_of(const std::string& module) const;
  /// The alpha of which heed scales by alpha / rank.
  double own_alpha_of(const std::string& module) const;
};

/// Whether a module's name is `end`, or ends in a dot and it.
bool ends_in(const std::string& module, const std::string& end);

/// The name that a tensor's module has in transformers 5, which adapters made there have: some
/// models' are other than those that their files go on naming.
std::string module_in_version_5(const Family& family, std::string name);

/// Reads an adapter_config.json. A RequestError names, with its place, what heed does not do: other
/// kinds of adapters and of starts that change the base, biases that are trained, DoRA and the
/// like, and every key that is not known and says something.
PeftConfig read_peft_config(const Config& config);

}  // namespace heed::recipes::hf
