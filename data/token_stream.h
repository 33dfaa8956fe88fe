// Training windows from a stream: documents are read and tokenized as they are needed, in memory
// that does not grow with them.
//
// The stream is the corpus's documents in their order, again and again, each with the end of text
// behind it. Windows follow each other in it, and each `shuffle` of them, a block, come in an order
// drawn by (seed, block). So which tokens a batch holds is a function of its index, as elsewhere;
// where the blocks begin in the files is remembered, and goes into checkpoints, so that a resumed
// run need not read what lies before.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/config.h"
#include "data/batches.h"
#include "data/corpus_reader.h"
#include "data/tokenizer.h"

namespace heed::data {

struct TokenStreamOptions {
  CorpusOptions corpus;
  int64_t shuffle = 1024;  ///< windows in a block
};

struct StreamWindowOptions {
  int64_t batch = 8;       ///< rows of the global batch
  int64_t context = 64;    ///< T
  uint64_t seed = 0;       ///< of the order within blocks
  bool documents = false;  ///< keep them apart
};

class StreamWindows {
 public:
  /// RequestErrors as CorpusReader's. The tokenizer must outlive this.
  StreamWindows(const TokenStreamOptions& stream, const Tokenizer& tokenizer,
                const StreamWindowOptions& options);
  ~StreamWindows();

  /// The rows `slice` of batch `index` >= 0. Safe to call from any thread; going back, or far ahead
  /// of what is remembered, reads all that lies between.
  Batch operator()(int64_t index, const RowSlice& slice);
  /// What was passed over so far because it is no text (CorpusReader::skipped).
  std::vector<std::string> skipped() const;
  /// Times that the corpus was read before the first row of that batch; none where that is not
  /// remembered.
  std::optional<int64_t> epoch(int64_t index) const;

  /// Where the block of the batch's first row begins in the files: for a checkpoint. Null where
  /// that is not remembered.
  Config place(int64_t index) const;
  /// Takes place()'s answer. A RequestError where it is of other files or settings.
  void remember(const Config& place);

 private:
  struct Start;
  struct Block;
  class Source;

  Block read(int64_t number, const Start& start);
  const Block& block(int64_t number);
  const Start* start_of(int64_t index) const;

  TokenStreamOptions stream_;
  const Tokenizer& tokenizer_;
  StreamWindowOptions options_;
  std::string signature_;  ///< of all that a place depends on
  mutable std::mutex mutex_;
  std::unique_ptr<Source> source_;
  std::map<int64_t, Start> starts_;            ///< of blocks: the first one's and the latest ones'
  std::deque<std::unique_ptr<Block>> blocks_;  ///< the latest ones
};

}  // namespace heed::data
