// parse_sentence_piece on any bytes; what it accepts encodes texts (the bytes themselves among
// them) to ids that it has, decodes them, and is read back equal from its tokenizer.json.
#include <string>

#include "data/sentence_piece.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  return heed::read_or_refuse([&] {
    const heed::data::SentencePieceTokenizer tokenizer(
        heed::data::parse_sentence_piece(bytes, "input"));
    for (const std::string& text : {bytes, std::string(" the  caf\xC3\xA9 <s> \xFF\n")}) {
      const auto ids = tokenizer.encode_with_specials(text);  // the charsmap may be refused
      for (const heed::data::TokenId id : ids) {
        heed::promise(id >= 0 && id < tokenizer.vocab_size(), "ids are in the vocabulary");
      }
      tokenizer.decode(ids);
    }
    const heed::Config document = tokenizer.to_config();
    heed::never_refused([&] {
      const auto again = heed::data::parse_tokenizer(document, "again");
      heed::promise(again->to_config() == document, "the document is read back equal");
    });
  });
}
