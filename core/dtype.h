// Element types, the two 16-bit floats, and dispatch from a run-time type to a template.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <type_traits>

#include "core/error.h"

#if defined(__CUDACC__)
#define HEED_HOST_DEVICE __host__ __device__
#else
#define HEED_HOST_DEVICE
#endif

namespace heed {

enum class DType : uint8_t { f32, bf16, f16, f64, i32, i64, u8, boolean };

/// bfloat16: the upper half of an f32. Conversion rounds to nearest even; NaN stays NaN.
struct bfloat16 {
  uint16_t bits = 0;

  bfloat16() = default;
  HEED_HOST_DEVICE explicit bfloat16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u) {
      bits = static_cast<uint16_t>((u >> 16) | 0x40u);
    } else {
      bits = static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    }
  }
  HEED_HOST_DEVICE operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

/// IEEE binary16, stored and converted only: no arithmetic runs in it on the CPU.
struct float16 {
  uint16_t bits = 0;

  float16() = default;
  explicit float16(float value);
  operator float() const;
};

/// Bytes of one element.
size_t size_of(DType dtype);
/// "f32", "bf16", ..., as in recipes and messages.
const char* name_of(DType dtype);
/// The inverse of name_of; throws RequestError on an unknown name.
DType dtype_from_name(const std::string& name);
bool is_floating(DType dtype);

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, bfloat16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, float16>)
    return DType::f16;
  else if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::i32;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::i64;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return DType::u8;
  else if constexpr (std::is_same_v<T, bool>)
    return DType::boolean;
  else
    static_assert(!sizeof(T), "not an element type");
}

/// The type that sums and statistics of T are kept in: double for double, float otherwise.
template <class T>
using accumulate_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Calls fn(T{}) with T = float, double or bfloat16; any other dtype is an error naming `op`.
template <class Fn>
decltype(auto) dispatch_floating(DType dtype, const char* op, Fn&& fn) {
  switch (dtype) {
    case DType::f32:
      return fn(float{});
    case DType::f64:
      return fn(double{});
    case DType::bf16:
      return fn(bfloat16{});
    default:
      fail("{}: needs a floating dtype (f32, f64, bf16), got {}", op, name_of(dtype));
  }
}

/// Calls fn(T{}) for every element type.
template <class Fn>
decltype(auto) dispatch_any(DType dtype, Fn&& fn) {
  switch (dtype) {
    case DType::f32:
      return fn(float{});
    case DType::bf16:
      return fn(bfloat16{});
    case DType::f16:
      return fn(float16{});
    case DType::f64:
      return fn(double{});
    case DType::i32:
      return fn(int32_t{});
    case DType::i64:
      return fn(int64_t{});
    case DType::u8:
      return fn(uint8_t{});
    case DType::boolean:
      return fn(bool{});
  }
  fail("corrupt dtype {}", static_cast<int>(dtype));
}

/// Calls fn(T{}) with T = int32_t or int64_t.
template <class Fn>
decltype(auto) dispatch_index(DType dtype, const char* op, Fn&& fn) {
  switch (dtype) {
    case DType::i32:
      return fn(int32_t{});
    case DType::i64:
      return fn(int64_t{});
    default:
      fail("{}: needs integer indices (i32, i64), got {}", op, name_of(dtype));
  }
}

}  // namespace heed
