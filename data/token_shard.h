// Token shards: a corpus as token ids, in files that are mapped into memory. Version 1, all numbers
// little-endian:
//
//   offset  bytes
//        0      8  "HEEDTOK" and a zero
//        8      4  version, 1
//       12      4  bytes of an id: 2 or 4
//       16      8  tokens
//       24      8  documents that begin in the shard
//       32      8  bytes of text that the tokens stand for
//       40      8  size of the vocabulary
//       48      4  flags: bit 0, the shard begins within a document of the shard before
//       52      4  zeros
//       56     32  SHA-256 of the tokenizer's document (tokenizer_digest)
//       88     32  SHA-256 of all that follows the header
//      120      8  zeros
//      128    8 x documents  index of each document's first token, ascending
//       ..   ids x tokens    to the end of the file
//
// A folder of shards has them as shard-000000.tokens, shard-000001.tokens, ..., an index.json that
// lists them, and the tokenizer.json that the ids are of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "data/tokens.h"

namespace heed::data {

inline constexpr size_t kShardHeader = 128;

struct ShardHeader {
  int width = 2;  ///< bytes of an id
  int64_t tokens = 0;
  int64_t documents = 0;
  int64_t text_bytes = 0;
  int64_t vocab_size = 0;
  bool continues = false;   ///< it begins within a document of the shard before
  std::string tokenizer;    ///< SHA-256 of the tokenizer, 64 hexadecimal digits
  std::string content_sum;  ///< SHA-256 of what follows the header
};

/// What a shard is written from.
struct ShardContent {
  std::vector<TokenId> ids;
  std::vector<uint64_t> starts;  ///< first tokens of documents, ascending
  int64_t text_bytes = 0;
  bool continues = false;
};

/// Names a tokenizer by what it does: SHA-256 of its document. The same for a tokenizer and for one
/// that was saved and loaded again.
std::string tokenizer_digest(const Tokenizer& tokenizer);
/// Bytes of an id of that vocabulary: 2 up to 65,536.
inline int id_width(int64_t vocab_size) { return vocab_size > 65536 ? 4 : 2; }

/// Reads a header and holds each of its numbers against the file's size; `bytes` is the whole file,
/// `name` stands for it in errors, which are RequestErrors with the byte.
ShardHeader read_shard_header(std::span<const std::byte> bytes, const std::string& name);
/// The ids and the documents' starts of a whole file; starts that do not ascend or lie beyond the
/// tokens are RequestErrors, ids are checked as they are read. The bytes must outlive it unless
/// `owner` keeps them.
TokenPiece read_shard(std::span<const std::byte> bytes, const std::string& name,
                      std::shared_ptr<const void> owner = nullptr);
/// Whether what follows the header is what was written.
bool shard_is_whole(std::span<const std::byte> bytes, const ShardHeader& header);

/// Writes a shard, atomically; returns its header.
ShardHeader write_shard(const std::string& path, const ShardContent& content,
                        const Tokenizer& tokenizer, const std::string& digest);

/// "shard-000012.tokens"
std::string shard_name(int64_t index);

}  // namespace heed::data
