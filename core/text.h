// Checks and places of text that the parsers share.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/error.h"

namespace heed {

/// Turns byte offsets into lines and columns. Offsets must not decrease from call to call, so that
/// a whole document is located in one pass.
class LineCounter {
 public:
  /// `first` is the number of the text's first line (of a line within a file).
  LineCounter(std::string_view text, std::string name, int first = 1)
      : text_(text), name_(std::move(name)), line_(first) {}

  SourceLocation at(size_t offset);

 private:
  std::string_view text_;
  std::string name_;
  size_t offset_ = 0;
  size_t line_start_ = 0;
  int line_;
};

/// Bytes of the UTF-8 sequence at `text[offset]` (RFC 3629), or 0 when there is no valid one.
size_t utf8_length(std::string_view text, size_t offset);

/// Offset of the first byte that is not part of valid UTF-8, or npos.
size_t find_invalid_utf8(std::string_view text);

/// Every byte outside valid UTF-8 replaced by U+FFFD.
std::string to_valid_utf8(std::string_view text);

/// Every occurrence of `what`, which is not empty, replaced from left to right.
std::string replaced(std::string_view text, std::string_view what, std::string_view by);

/// The shortest decimal that reads back as the same double, always with a '.' or an exponent;
/// "nan", "inf" and "-inf" for those.
std::string shortest_number(double value);

}  // namespace heed
