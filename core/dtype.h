// Element types by name and size, and dispatch from a run-time type to a template.
#pragma once

#include <string>

#include "core/element.h"
#include "core/error.h"

namespace heed {

/// Bytes of one element.
size_t size_of(DType dtype);
/// "f32", "bf16", ..., as in recipes and messages.
const char* name_of(DType dtype);
/// The inverse of name_of; throws RequestError on an unknown name.
DType dtype_from_name(const std::string& name);
bool is_floating(DType dtype);

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
