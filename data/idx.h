// IDX files, which MNIST and its kin come as (yann.lecun.com/exdb/mnist): two zero bytes, the type
// of the elements, the rank, the extents as big-endian 32 bits, the elements.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/tensor.h"

namespace heed::data {

/// Unsigned bytes, u8 of the file's shape. `name` stands for the file in errors: a RequestError
/// with the byte offset where the bytes are no such file, or do not fill the shape.
Tensor parse_idx(std::span<const std::byte> bytes, const std::string& name);
/// The same of a file.
Tensor read_idx(const std::string& path);

}  // namespace heed::data
