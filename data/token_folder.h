// A folder of token shards (data/token_shard.h), as one sequence of tokens.
#pragma once

#include <string>
#include <vector>

#include "core/config.h"
#include "data/tokens.h"

namespace heed::data {

/// The files beside the shards.
inline constexpr const char* kShardIndex = "index.json";
inline constexpr const char* kShardRequest = "request.json";
inline constexpr const char* kShardTokenizer = "tokenizer.json";

/// What index.json says of one shard.
struct ShardEntry {
  std::string file;  ///< in the folder
  int64_t tokens = 0, documents = 0, text_bytes = 0;
  std::string content_sum;  ///< SHA-256 of what follows the shard's header
};

struct TokenFolder {
  std::string path;
  std::string tokenizer;    ///< tokenizer_digest() of what made the ids
  std::string description;  ///< of it: "bpe of 2,048"
  int64_t text_bytes = 0;
  std::vector<ShardEntry> shards;
  Tokens tokens;  ///< of all shards, mapped
};

/// The document of index.json.
Config shard_index(const std::vector<ShardEntry>& shards, const Tokenizer& tokenizer,
                   const std::string& digest);

/// Maps the shards that the folder's index.json lists. A folder that is none, or that is not
/// finished, is a RequestError at `where`; so is a shard that breaks its format, that is not the
/// one that the index means, or that is of another tokenizer, at its file.
TokenFolder open_token_folder(const std::string& path, const SourceLocation& where = {});

/// Reads every shard once and compares its sum; returns the damaged ones.
std::vector<std::string> damaged_shards(const TokenFolder& folder);

}  // namespace heed::data
