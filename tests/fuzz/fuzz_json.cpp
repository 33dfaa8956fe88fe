// parse_json on any text; what it accepts must survive being written and parsed again.
#include <string>

#include "core/config.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  return heed::read_or_refuse([&] {
    const heed::Config value = heed::parse_json(text, "input");
    heed::never_refused([&] {
      const std::string written = value.to_json(2);
      const heed::Config again = heed::parse_json(written, "written");
      heed::promise(again == value, "JSON written parses back to an equal value");
      heed::promise(again.to_json(2) == written, "and is written the same");
      heed::promise(heed::parse_yaml(value.to_yaml(), "yaml") == value, "so does YAML");
    });
  });
}
