// Lines of text that comes in pieces, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"

namespace heed::data {

/// Where a reader of lines stands.
struct LinePlace {
  int64_t offset = 0;  ///< bytes read, of the text as it is behind any packing
  int64_t line = 1;    ///< number of the next line
};

/// Takes a text from `read`, which fills memory with up to so many bytes and returns how many there
/// were, 0 at the end.
class LineReader {
 public:
  using Read = std::function<size_t(char* to, size_t most)>;

  /// `name` stands for the text in errors; `place` is that of the first byte that `read` gives.
  LineReader(Read read, std::string name, LinePlace place = {});

  /// The next line without its end ("\n" or "\r\n"); false behind the last. A line of more than
  /// `most` bytes is a RequestError with its number.
  bool next(std::string& line, size_t most);
  /// The next bytes as they come: `most` of them, or all that there are. Counts no lines.
  bool next_bytes(std::string& bytes, size_t most);
  /// The first bytes of what is next, which stay: up to `most`.
  std::string_view peek(size_t most);

  const LinePlace& place() const { return place_; }
  SourceLocation where() const;

 private:
  bool fill();

  Read read_;
  std::string name_;
  LinePlace place_;
  std::string buffer_;
  size_t at_ = 0;  ///< what lies before it in the buffer has been given out
  bool ended_ = false;
};

}  // namespace heed::data
