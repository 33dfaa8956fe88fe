// parse_tokenizer on any text; what it accepts must come back from its own document, and must give
// back every text that it can encode.
#include <string>

#include "data/tokenizer.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  return heed::read_or_refuse([&] {
    const auto tokenizer = heed::data::parse_tokenizer(heed::parse_json(text, "input"), "input");
    try {
      const heed::Config document = tokenizer->to_config();
      const auto again = heed::data::parse_tokenizer(document, "again");
      heed::promise(again->to_config() == document, "a tokenizer's document is read back equal");
    } catch (const heed::RequestError& error) {
      heed::promise(false, error.what());
    }
    const auto ids = tokenizer->encode_with_specials(text);  // chars may refuse a character
    heed::promise(tokenizer->decode(ids) == text, "a text comes back from its tokens");
  });
}
