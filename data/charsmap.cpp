#include "data/charsmap.h"

#include "core/error.h"

namespace heed::data {
namespace {

uint32_t read_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return value;
}

constexpr uint32_t kLeaf = uint32_t{1} << 31;

uint32_t label(uint32_t unit) { return unit & (kLeaf | 0xFF); }
bool ends_key(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value(uint32_t unit) { return unit & ~kLeaf; }
size_t offset(uint32_t unit) { return static_cast<size_t>(unit >> 10) << ((unit & 512) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string bytes) : bytes_(std::move(bytes)) {
  if (bytes_.empty()) return;
  const size_t size = bytes_.size() < 4 ? 0 : read_u32(bytes_, 0);
  if (size < 4 || size % 4 != 0 || size > bytes_.size() - 4) {
    fail_request("charsmap: {} bytes with a double array of {} among them", bytes_.size(), size);
  }
  replacements_ = 4 + size;
  if (replacements_ == bytes_.size() || bytes_.back() != '\0') {
    fail_request("charsmap: the replacements do not end with a zero byte");
  }
  units_.resize(size / 4);
  for (size_t i = 0; i < units_.size(); ++i) units_[i] = read_u32(bytes_, 4 + 4 * i);
}

std::optional<Charsmap::Match> Charsmap::find(std::string_view text, bool longest) const {
  std::optional<Match> match;
  if (units_.empty()) return match;
  size_t node = offset(units_[0]);
  for (size_t at = 0; at < text.size() && text[at] != '\0'; ++at) {
    node ^= static_cast<unsigned char>(text[at]);
    if (node >= units_.size()) break;
    const uint32_t unit = units_[node];
    if (label(unit) != static_cast<unsigned char>(text[at])) break;
    node ^= offset(unit);
    if (!ends_key(unit)) continue;
    if (node >= units_.size()) break;
    const size_t begin = replacements_ + value(units_[node]);
    if (begin >= bytes_.size()) fail_request("charsmap: a replacement lies behind the end");
    match = Match{at + 1, std::string_view(bytes_.c_str() + begin)};
    if (!longest) break;
  }
  return match;
}

std::optional<Charsmap::Match> Charsmap::longest(std::string_view text) const {
  return find(text, true);
}

std::optional<Charsmap::Match> Charsmap::shortest(std::string_view text) const {
  return find(text, false);
}

}  // namespace heed::data
