// What a config.json describes, heed's own additions to it included.
//
//   "heed": {"model": {"type": "gpt", ...}}    the `model` section that it was written from
//   "model_type": "heed"                       a model that no family has; its tensors are named
//   "heed": {"names": "llama", ...}            as this family's, as far as that goes
#pragma once

#include <string>

#include "core/safetensors.h"
#include "recipes/engine/hf/family.h"

namespace heed::recipes::hf {

inline constexpr const char* kOwnType = "heed";  ///< the model_type of what no family has
inline constexpr const char* kOwn = "heed";      ///< the key with our own part

struct Described {
  std::string model_type;
  const Family* family = nullptr;              ///< whose names the tensors have
  const Architecture* architecture = nullptr;  ///< or null: of what no family has
  Config model;                                ///< a whole `model` section
};

/// Reads a config.json. Where the "heed" part and the rest have different meanings, which happens
/// when one was edited, it is a RequestError. The file tells whether there is a pooler.
Described describe_config(const Config& config, const SafetensorsFile& file);

}  // namespace heed::recipes::hf
