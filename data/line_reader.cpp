#include "data/line_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/files.h"

namespace heed::data {

LineReader::LineReader(Read read, std::string name, LinePlace place)
    : read_(std::move(read)), name_(std::move(name)), place_(place) {}

SourceLocation LineReader::where() const {
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  return {name_, static_cast<int>(std::min(place_.line, kMost))};
}

// Reads more behind what the buffer still holds; false at the end.
bool LineReader::fill() {
  constexpr size_t kPiece = size_t{1} << 16;
  if (ended_) return false;
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t held = buffer_.size();
  buffer_.resize(held + kPiece);
  const size_t got = read_(buffer_.data() + held, kPiece);
  buffer_.resize(held + got);
  ended_ = got == 0;
  return !ended_;
}

bool LineReader::next(std::string& line, size_t most) {
  size_t looked = at_;
  for (;;) {
    const size_t end = buffer_.find('\n', looked);
    if (end != std::string::npos || ended_) {
      const size_t stop = std::min(end, buffer_.size());
      if (end == std::string::npos && stop == at_) return false;
      line.assign(buffer_, at_, stop - at_);
      const size_t next = end == std::string::npos ? stop : end + 1;
      place_.offset += static_cast<int64_t>(next - at_);
      if (line.size() > most) break;
      ++place_.line;
      at_ = next;
      if (line.ends_with('\r')) line.pop_back();
      return true;
    }
    if (buffer_.size() - at_ > most) break;
    const size_t searched = buffer_.size() - at_;
    fill();
    looked = at_ + searched;
  }
  fail_request(where(), fmt::format("a line of more than {}: such long ones are not read",
                                    format_bytes(static_cast<int64_t>(most))));
}

std::string_view LineReader::peek(size_t most) {
  while (buffer_.size() - at_ < most && fill()) {
  }
  return std::string_view(buffer_).substr(at_, most);
}

bool LineReader::next_bytes(std::string& bytes, size_t most) {
  bytes = peek(most);
  at_ += bytes.size();
  place_.offset += static_cast<int64_t>(bytes.size());
  return !bytes.empty();
}

}  // namespace heed::data
