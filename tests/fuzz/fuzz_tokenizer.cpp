// Any bytes read as tokenizer.json: a tokenizer whose file and texts come back, or a RequestError.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "data/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace heed;
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  std::unique_ptr<data::Tokenizer> tokenizer;
  try {
    tokenizer = data::parse_tokenizer(parse_json(text, "fuzz.json"), "fuzz.json");
  } catch (const RequestError&) {
    return 0;
  }
  const auto again = data::parse_tokenizer(tokenizer->to_config(), "again.json");
  if (!(again->to_config() == tokenizer->to_config())) std::abort();
  if (std::string(tokenizer->type()) == "chars") return 0;  // does not know every character
  const auto ids = tokenizer->encode_with_specials(text);
  if (tokenizer->decode(ids) != text) std::abort();
  return 0;
}
