// Files of torch.save (PyTorch 1.6 and later): a zip archive of a pickle and the storages that it
// speaks of.
//
//   NAME/data.pkl     {"blocks.0.norm.weight": _rebuild_tensor_v2(storage "0", offset, size,
//   stride)} NAME/data/0       the storage's bytes NAME/byteorder    "little"
//
// The pickle is read as data (see pickle.h), so that a file of unknown origin can do no more than
// be refused.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace heed::data {

struct TorchTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape = {};
  /// Reads it from the file, with the strides that it was saved with; a checksum that does not
  /// match is a RequestError.
  std::function<Tensor()> read = {};
};

/// The largest pickle inside a file, in bytes. It names tensors, some 150 bytes each, and holds
/// none of their numbers: this is room for a hundred thousand.
inline constexpr int64_t kMostTorchPickle = int64_t{16} << 20;
/// The longest name of a tensor or storage, in bytes.
inline constexpr size_t kMostTensorName = 1024;

/// The tensors of a file that holds a state_dict: the dict itself, or the one that it has under
/// "state_dict" or "model". What is no tensor is passed over; so are "module." (of
/// DistributedDataParallel) in front of every name. A RequestError for files that are none, for
/// ones of before PyTorch 1.6, for a pickle or names beyond these limits, and for tensors that do
/// not lie in their storage.
std::vector<TorchTensor> read_torch_file(const std::string& path);

/// The same of a whole file in memory, which `owner` keeps; `name` stands for it in errors.
std::vector<TorchTensor> parse_torch_file(std::span<const std::byte> bytes, const std::string& name,
                                          std::shared_ptr<const void> owner = nullptr);

}  // namespace heed::data
