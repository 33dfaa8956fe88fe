// Plain data of the host, brought to a device.
#pragma once

#include <cstring>
#include <span>
#include <type_traits>

#include "core/tensor.h"

namespace heed::kernels {

/// The bytes of a vector's or span's elements as u8 [bytes] on the device. The tensor must outlive
/// the launches that read it only until they are on the stream.
template <class Values>
Tensor device_bytes(const Values& values, Device device) {
  const std::span all(values);
  static_assert(std::is_trivially_copyable_v<typename decltype(all)::element_type>);
  const Tensor bytes = Tensor::empty({static_cast<int64_t>(all.size_bytes())}, DType::u8);
  if (!all.empty()) std::memcpy(bytes.raw(), all.data(), all.size_bytes());
  return bytes.to(device);
}

}  // namespace heed::kernels
