// Restoring named tensors from a checkpoint, all or nothing.
#pragma once

#include "optim/optimizer.h"

namespace heed::optim {

/// Copies `from` into the tensors of `to` by name. Missing and unexpected names and different
/// shapes or dtypes are collected into one RequestError ("<what>: ..."); nothing is changed then.
void load_tensors(const std::string& what, const NamedTensors& to, const NamedTensors& from);

}  // namespace heed::optim
