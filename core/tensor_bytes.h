// A tensor's elements as the bytes of a file.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "core/tensor.h"

namespace heed {

/// The bytes of `shape` elements; false when they, or the strides of the shape, overflow 63 bits.
bool checked_bytes(const Shape& shape, DType dtype, int64_t* bytes);

/// A tensor over the bytes at `data`. It shares them when an owner is given and `data` is aligned
/// to the element, otherwise it is a copy.
Tensor tensor_over_bytes(std::byte* data, const Shape& shape, DType dtype,
                         const std::shared_ptr<const void>& owner);

/// Throws RequestError at `where` unless every byte is 0 or 1; `offset` is that of the first one in
/// the file.
void check_booleans(const std::byte* data, size_t bytes, size_t offset,
                    const SourceLocation& where);

/// Calls `use` with the elements in row-major order; a strided tensor, or a
/// device's, is copied for it.
void with_row_major_bytes(const Tensor& tensor,
                          const std::function<void(const void* data, size_t bytes)>& use);

}  // namespace heed
