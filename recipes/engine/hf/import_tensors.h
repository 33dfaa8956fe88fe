// The tensors that a module of heed's takes from a hub's file.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "nn/module.h"
#include "recipes/engine/checkpoint.h"
#include "recipes/engine/hf/described.h"

namespace heed::recipes::hf {

/// Those of `module`, under its names, each made of the file's when it is written and the file's
/// pages given back behind it. Dtypes stay. A RequestError lists missing tensors, tensors of other
/// shapes, and ones of a block that nothing is made of; others like those (of another head) are
/// warned about.
std::vector<PendingTensor> import_tensors(const Described& described, nn::Module& module,
                                          const std::shared_ptr<const SafetensorsFile>& file,
                                          const std::string& path, const Warning& warn);

}  // namespace heed::recipes::hf
