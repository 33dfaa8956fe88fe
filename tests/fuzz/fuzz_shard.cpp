// read_shard on any bytes; of what it accepts the documents ascend within the tokens, and every id
// is read or refused.
#include <vector>

#include "data/token_shard.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> bytes(begin, begin + size);
  return heed::read_or_refuse([&] {
    const heed::data::ShardHeader header = heed::data::read_shard_header(bytes, "input");
    heed::promise(header.tokens <= static_cast<int64_t>(size), "the tokens fit into the file");
    heed::data::Tokens tokens(header.vocab_size);
    tokens.append_piece(heed::data::read_shard(bytes, "input"));
    heed::promise(tokens.size() == header.tokens, "all tokens are there");
    int64_t last = -1;
    for (const int64_t start : tokens.document_starts(0, tokens.size())) {
      heed::promise(start > last && start < tokens.size(), "documents ascend within the tokens");
      last = start;
    }
    heed::data::Tokens part(header.vocab_size);
    part.append_part(tokens, tokens.size() / 3, tokens.size());
    heed::promise(part.documents() <= header.documents, "a part has no more documents");
    heed::read_or_refuse([&] {
      for (const heed::data::TokenId id : part.slice(0, part.size())) {
        heed::promise(id >= 0 && id < header.vocab_size, "ids lie in the vocabulary");
      }
    });
  });
}
