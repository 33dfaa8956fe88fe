// Charsmap on any bytes: what matches is a part of the text, and of the map.
#include <string>
#include <string_view>

#include "data/charsmap.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  return heed::read_or_refuse([&] {
    const heed::data::Charsmap map(bytes);
    for (const std::string& text : {std::string("a\tA\xE2\x82\xAC x"), bytes}) {
      for (size_t at = 0; at < text.size(); ++at) {
        const std::string_view rest = std::string_view(text).substr(at);
        const auto longest = map.longest(rest), shortest = map.shortest(rest);
        heed::promise(longest.has_value() == shortest.has_value(), "both match, or none");
        if (!longest) continue;
        heed::promise(longest->length <= rest.size() && shortest->length <= longest->length &&
                          shortest->length > 0,
                      "a match is a part of the text");
        heed::promise(longest->becomes.size() <= bytes.size(), "a replacement is in the map");
      }
    }
  });
}
