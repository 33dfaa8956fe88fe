#include "core/dtype.h"

#include <array>
#include <string_view>
#include <vector>

namespace heed {
namespace {

struct Info {
  DType dtype;
  const char* name;
  size_t bytes;
  bool floating;
};

constexpr std::array<Info, 8> kInfos = {{{DType::f32, "f32", 4, true},
                                         {DType::bf16, "bf16", 2, true},
                                         {DType::f16, "f16", 2, true},
                                         {DType::f64, "f64", 8, true},
                                         {DType::i32, "i32", 4, false},
                                         {DType::i64, "i64", 8, false},
                                         {DType::u8, "u8", 1, false},
                                         {DType::boolean, "bool", 1, false}}};

const Info& info(DType dtype) { return kInfos[static_cast<size_t>(dtype)]; }

}  // namespace

size_t size_of(DType dtype) { return info(dtype).bytes; }
const char* name_of(DType dtype) { return info(dtype).name; }
bool is_floating(DType dtype) { return info(dtype).floating; }

DType dtype_from_name(const std::string& name) {
  std::vector<std::string> names;
  for (const Info& i : kInfos) {
    if (name == i.name) return i.dtype;
    names.emplace_back(i.name);
  }
  fail_request("unknown dtype '{}'{}", name, did_you_mean(name, names));
}

float16::float16(float value) {
  const uint32_t u = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {  // NaN
    bits = static_cast<uint16_t>(sign | 0x7e00u);
  } else if (magnitude >= 0x477ff000u) {  // rounds to 65536 or above
    bits = static_cast<uint16_t>(sign | 0x7c00u);
  } else if (magnitude < 0x38800000u) {  // subnormal: adding 0.5 aligns and rounds the mantissa
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    bits = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  } else {
    const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
    bits = static_cast<uint16_t>(sign | (rounded >> 13));
  }
}

float16::operator float() const {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

}  // namespace heed
