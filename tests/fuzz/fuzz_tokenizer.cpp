// parse_tokenizer on any text; what it accepts must come back from its own document, and must give
// back every text that it can encode, unless it is of a kind that changes texts.
#include <string>

#include "data/tokenizer.h"
#include "tests/fuzz/harness.h"

namespace {

// Not words, which forget spaces and cases, nor what is composed of parts, nor SentencePiece.
bool is_exact(const heed::data::Tokenizer& tokenizer, const heed::Config& document) {
  const std::string type = tokenizer.type();
  const heed::Config* normalizer = document.find("normalizer");
  const bool as_it_is = normalizer == nullptr || normalizer->is_null();
  const bool whole = type == "bytes" || type == "chars" || type == "bpe";
  return whole && as_it_is;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  return heed::read_or_refuse([&] {
    const auto tokenizer = heed::data::parse_tokenizer(heed::parse_json(text, "input"), "input");
    const heed::Config document = tokenizer->to_config();
    try {
      const auto again = heed::data::parse_tokenizer(document, "again");
      heed::promise(again->to_config() == document, "a tokenizer's document is read back equal");
    } catch (const heed::RequestError& error) {
      heed::promise(false, error.what());
    }
    const auto ids = tokenizer->encode_with_specials(text);  // chars may refuse a character
    const std::string back = tokenizer->decode(ids);
    heed::promise(!is_exact(*tokenizer, document) || back == text,
                  "a text comes back from its tokens");
  });
}
