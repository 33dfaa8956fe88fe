// Text as it is generated: bytes in, whole UTF-8 characters out, ending at a stop text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace heed::recipes {

class TextStream {
 public:
  /// Empty stop texts are ignored.
  explicit TextStream(std::vector<std::string> stops);

  /// Takes in the bytes of a token. Returns what can be shown now: whole characters that cannot be
  /// the beginning of a stop text (any more).
  std::string push(std::string_view bytes);
  /// What was held back; bytes that are no UTF-8 become U+FFFD.
  std::string finish();

  /// Whether a stop text came: it and all after it are dropped.
  bool stopped() const { return stopped_; }
  /// All that push() and finish() have returned.
  const std::string& text() const { return text_; }

 private:
  std::string release(size_t count);

  std::vector<std::string> stops_;
  std::string held_;
  std::string text_;
  bool stopped_ = false;
};

}  // namespace heed::recipes
