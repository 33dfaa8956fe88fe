// A corpus tokenized once, into a folder of shards (data/token_shard.h).
//
// The texts are cut into shards by their bytes, before they are tokenized: so shards are made on
// all cores at once, are the same for any number of them, and those that a run which was killed has
// finished are found again.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/corpus_reader.h"
#include "data/token_folder.h"
#include "data/tokenizer.h"

namespace heed::data {

struct TokenizeOptions {
  CorpusOptions corpus;
  int64_t shard_bytes = int64_t{64} << 20;  ///< of text: a shard ends with the document (or piece
                                            ///< of 16 MiB) that reaches it
  int workers = 1;  ///< threads that tokenize; memory is at most about 15 x shard_bytes each
  std::string tokenizer_made = {};  ///< how the tokenizer was made, where it was learnt for this
  bool overwrite = false;           ///< begin anew where the folder holds shards of another request
};

struct TokenizeProgress {
  int64_t bytes = 0, bytes_read = 0;  ///< of the files on the disk
  int64_t shards = 0, tokens = 0;     ///< finished
  int64_t text_bytes = 0;             ///< that these stand for
  bool finished = false;              ///< told once, at the end
};

struct Tokenized {
  std::vector<ShardEntry> shards;
  int64_t tokens = 0, documents = 0, text_bytes = 0;
  int64_t kept = 0;                  ///< shards that were there already
  std::vector<std::string> skipped;  ///< files that are no text
};

/// Writes shards, tokenizer.json and, when all is done, index.json into `folder`, which is made if
/// need be. Each document ends with the tokenizer's end of text, where it has one. Shards that an
/// unfinished run of the same request left there are kept. RequestErrors: a folder that holds
/// another request's shards, what the reader refuses, text that the tokenizer cannot encode (at its
/// file and line), no text at all.
Tokenized tokenize_corpus(const TokenizeOptions& options, const Tokenizer& tokenizer,
                          const std::string& folder,
                          const std::function<void(const TokenizeProgress&)>& report = {});

}  // namespace heed::data
