#include "core/tensor_bytes.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace heed {

bool checked_bytes(const Shape& shape, DType dtype, int64_t* bytes) {
  *bytes = static_cast<int64_t>(size_of(dtype));
  int64_t strides = *bytes;  // an extent of 0 empties the tensor, not the strides before it
  for (int64_t extent : shape) {
    if (__builtin_mul_overflow(strides, std::max<int64_t>(extent, 1), &strides)) return false;
    *bytes *= extent;
  }
  return true;
}

Tensor tensor_over_bytes(std::byte* data, const Shape& shape, DType dtype,
                         const std::shared_ptr<const void>& owner) {
  const size_t bytes = static_cast<size_t>(shape.numel()) * size_of(dtype);
  const bool aligned = reinterpret_cast<uintptr_t>(data) % size_of(dtype) == 0;
  if (owner != nullptr && aligned && bytes > 0) {
    return Tensor::over(std::make_shared<Storage>(data, bytes, owner), 0, shape,
                        contiguous_strides(shape), dtype);
  }
  Tensor copy = Tensor::empty(shape, dtype);
  if (bytes > 0) std::memcpy(copy.raw(), data, bytes);
  return copy;
}

void check_booleans(const std::byte* data, size_t bytes, size_t offset,
                    const SourceLocation& where) {
  const std::byte* end = data + bytes;
  const std::byte* bad = std::find_if(data, end, [](std::byte b) { return b > std::byte{1}; });
  if (bad == end) return;
  fail_request(where,
               fmt::format("byte {}: a boolean is 0 or 1, this is {}",
                           offset + static_cast<size_t>(bad - data), std::to_integer<int>(*bad)));
}

void with_row_major_bytes(const Tensor& tensor,
                          const std::function<void(const void* data, size_t bytes)>& use) {
  if (!tensor.device().is_cpu()) return with_row_major_bytes(tensor.to(kCpu), use);
  const auto size = static_cast<size_t>(tensor.bytes());
  if (tensor.is_contiguous()) return use(tensor.raw(), size);
  dispatch_any(tensor.dtype(), [&](auto type) {
    using T = decltype(type);
    const std::vector<T> values = tensor.to_vector<T>();
    if constexpr (std::is_same_v<T, bool>) {  // a vector of bits
      const std::vector<uint8_t> bytes(values.begin(), values.end());
      use(bytes.data(), size);
    } else {
      use(values.data(), size);
    }
  });
}

}  // namespace heed
