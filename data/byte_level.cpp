#include "data/byte_level.h"

#include <algorithm>

#include "data/unicode.h"

namespace heed::data {
namespace {

constexpr int32_t kHighest = 0x143;  // 0x100 + 67

struct Alphabet {
  std::array<int32_t, 256> character{};      // of a byte
  std::array<int16_t, kHighest + 1> byte{};  // of a character, or -1
  std::array<unsigned char, 256> in_order{};

  Alphabet() {
    byte.fill(-1);
    int32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b != 0xAD);
      const int32_t c = printable ? b : next++;
      character[static_cast<size_t>(b)] = c;
      byte[static_cast<size_t>(c)] = static_cast<int16_t>(b);
    }
    auto out = in_order.begin();
    for (const int16_t b : byte) {
      if (b >= 0) *out++ = static_cast<unsigned char>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::array<unsigned char, 256>& byte_alphabet() { return alphabet().in_order; }

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  for (const char b : bytes) {
    append_code_point(text, alphabet().character[static_cast<unsigned char>(b)]);
  }
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    if (c.value > kHighest || alphabet().byte[static_cast<size_t>(c.value)] < 0) return {};
    bytes.push_back(static_cast<char>(alphabet().byte[static_cast<size_t>(c.value)]));
    at += static_cast<size_t>(c.bytes);
  }
  return bytes;
}

}  // namespace heed::data
