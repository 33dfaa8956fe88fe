#include "recipes/engine/text_stream.h"

#include <algorithm>
#include <utility>

#include "core/text.h"

namespace heed::recipes {
namespace {

/// Length of the longest end of `text` that begins `stop` (and is not all of it).
size_t overlap(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.ends_with(stop.substr(0, length))) return length;
  }
  return 0;
}

/// Bytes of the character that begins with `lead`, by its first byte; 1 when it begins none.
size_t expected_length(unsigned char lead) {
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  if (lead >= 0xE0) return lead < 0xF0 ? 3 : 1;
  return lead >= 0xC2 ? 2 : 1;
}

/// Length of an unfinished UTF-8 character at the end of `text`.
size_t unfinished(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    return expected_length(byte) > back ? back : 0;
  }
  return 0;
}

}  // namespace

TextStream::TextStream(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, "");
}

std::string TextStream::push(std::string_view bytes) {
  if (stopped_) return "";
  held_ += bytes;
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) end = std::min(end, held_.find(stop));
  if (end != std::string::npos) {
    stopped_ = true;
    held_.resize(end);
    return release(held_.size());
  }
  size_t hold = unfinished(held_);
  for (const std::string& stop : stops_) hold = std::max(hold, overlap(held_, stop));
  return release(held_.size() - hold);
}

std::string TextStream::finish() { return release(held_.size()); }

std::string TextStream::release(size_t count) {
  const std::string piece = to_valid_utf8(std::string_view(held_).substr(0, count));
  held_.erase(0, count);
  text_ += piece;
  return piece;
}

}  // namespace heed::recipes
