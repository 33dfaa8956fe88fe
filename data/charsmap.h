// Charsmap: SentencePiece's table of text replacements (Kudo and Richardson, arXiv 1808.06226,
// section 3.1.2), as a .model and tokenizer.json's "Precompiled" carry it:
//
//   u32 size | a double array of size/4 units | replacements, each ended by a zero byte
//
// all little-endian. The double array (Aoe 1989, in the layout of darts-clone) maps a byte string
// to the offset of its replacement. A unit of 32 bits:
//
//   bits 0-7   the byte that leads here (with bit 31, which only leaves have: no byte matches them)
//   bit 8      a key ends here: its value is in the unit at this one's offset
//   bits 10-30 the offset, times 256 where bit 9 is set
//   bits 0-30  of a leaf: the value
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heed::data {

class Charsmap {
 public:
  /// No replacements.
  Charsmap() = default;
  /// Parses the bytes; RequestError when the sizes do not fit, or a replacement has no end.
  explicit Charsmap(std::string bytes);

  struct Match {
    size_t length = 0;         ///< bytes of text
    std::string_view becomes;  ///< valid as long as the map
  };
  /// The longest key that the text begins with.
  std::optional<Match> longest(std::string_view text) const;
  /// The shortest.
  std::optional<Match> shortest(std::string_view text) const;

  bool empty() const { return units_.empty(); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::optional<Match> find(std::string_view text, bool longest) const;

  std::string bytes_;
  std::vector<uint32_t> units_;
  size_t replacements_ = 0;  ///< where they begin in bytes_
};

}  // namespace heed::data
