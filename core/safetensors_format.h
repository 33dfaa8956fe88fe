// The constants of the safetensors format that its reader and writer share.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <utility>

#include "core/dtype.h"

namespace heed::safetensors_format {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

inline constexpr size_t kPrefix = 8;  // bytes of the header's length
inline constexpr uint64_t kMaxHeader = 100'000'000;
inline constexpr const char* kMetadata = "__metadata__";

inline constexpr std::array<std::pair<const char*, DType>, 8> kDTypes = {
    {{"F64", DType::f64},
     {"F32", DType::f32},
     {"F16", DType::f16},
     {"BF16", DType::bf16},
     {"I64", DType::i64},
     {"I32", DType::i32},
     {"U8", DType::u8},
     {"BOOL", DType::boolean}}};

inline const char* name_of_dtype(DType dtype) {
  for (const auto& [name, known] : kDTypes) {
    if (known == dtype) return name;
  }
  fail("safetensors: has no dtype {}", name_of(dtype));
}

}  // namespace heed::safetensors_format
