// Plain data of the host, brought to a device.
#pragma once

#include <cstring>
#include <span>
#include <type_traits>

#include "core/tensor.h"

namespace heed::kernels {

/// The elements' bytes as u8 [bytes] on the device. The tensor must outlive the launches that read
/// it only until they are on the stream.
template <class T>
Tensor device_bytes(std::span<const T> values, Device device) {
  static_assert(std::is_trivially_copyable_v<T>);
  const Tensor bytes = Tensor::empty({static_cast<int64_t>(values.size_bytes())}, DType::u8);
  if (!values.empty()) std::memcpy(bytes.raw(), values.data(), values.size_bytes());
  return bytes.to(device);
}

}  // namespace heed::kernels
