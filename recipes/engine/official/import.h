// A checkpoint of a paper's own code as a run of heed's.
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/hf/import.h"

namespace heed::recipes {

struct OfficialRequest {
  std::string family;                     ///< see official/family.h
  std::string size;                       ///< "mini"
  std::vector<std::string> options = {};  ///< of the model, over the preset's: "height=384"
};

/// Imports a file of torch.save or safetensors; `destination` must not exist, or be empty, and
/// appears whole or not at all. `classes` are the head's rows unless given. A RequestError lists
/// tensors that are missing, of other shapes, or no part of the model.
Imported import_official(const std::string& file, const std::string& destination,
                         const OfficialRequest& request);

}  // namespace heed::recipes
