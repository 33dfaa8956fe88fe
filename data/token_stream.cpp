#include "data/token_stream.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/checksum.h"
#include "data/permutation.h"
#include "data/token_shard.h"

namespace heed::data {

/// Where a block begins: at a token of a document.
struct StreamWindows::Start {
  int64_t epoch = 0;
  CorpusPlace corpus;  ///< of the document (or piece of one)
  int64_t token = 0;   ///< of it
};

struct StreamWindows::Block {
  int64_t number = 0;
  Tokens tokens;  ///< shuffle * T + 1
  Start next;     ///< of the block behind it
};

/// Documents without end, each with its place. The last one is held: a block begins in the document
/// that the block before it ended in, so going there reads and tokenizes nothing again.
class StreamWindows::Source {
 public:
  Source(const CorpusOptions& corpus, const Tokenizer& tokenizer)
      : reader_(corpus), tokenizer_(tokenizer) {}

  const CorpusReader& reader() const { return reader_; }

  struct Encoded {
    Start start;  ///< of its first token
    std::vector<TokenId> ids;
    bool begins = true;  ///< a document; else it goes on with the one before
  };

  /// The document that holds the start is the next one.
  void seek(const Start& start) {
    again_ = last_ && last_->start.epoch == start.epoch && last_->start.corpus == start.corpus;
    if (again_) return;
    last_.reset();
    reader_.seek(start.corpus);
    epoch_ = start.epoch;
    read_ahead();
  }

  /// It stays until the next one is asked for.
  const Encoded& next() {
    if (std::exchange(again_, false)) return *last_;
    last_.reset();
    Encoded encoded;
    encoded.start = ahead_start_;
    encoded.begins = !ahead_.continues;
    const CorpusDocument document = std::move(ahead_);
    read_ahead();
    try {
      tokenizer_.encode(document.text, encoded.ids);
    } catch (const RequestError& error) {
      fail_request(document.where, error.what());
    }
    const std::optional<TokenId> end = tokenizer_.end_of_text();
    if (end && !ahead_.continues) encoded.ids.push_back(*end);
    return last_.emplace(std::move(encoded));
  }

 private:
  void read_ahead() {
    for (bool again = false;; again = true) {
      ahead_start_ = {epoch_, reader_.place(), 0};
      if (reader_.next(ahead_)) return;
      if (again) fail_request("the files of the stream hold no text");
      ++epoch_;
      reader_.seek({});
    }
  }

  CorpusReader reader_;
  const Tokenizer& tokenizer_;
  int64_t epoch_ = 0;
  CorpusDocument ahead_;
  Start ahead_start_;
  std::optional<Encoded> last_;
  bool again_ = false;  ///< the last one is the next one
};

StreamWindows::StreamWindows(const TokenStreamOptions& stream, const Tokenizer& tokenizer,
                             const StreamWindowOptions& options)
    : stream_(stream),
      tokenizer_(tokenizer),
      options_(options),
      source_(std::make_unique<Source>(stream.corpus, tokenizer)) {
  HEED_CHECK(stream.shuffle >= 1 && options.context >= 1 && options.batch >= 1,
             "stream: blocks of {} windows of {} tokens, batches of {}", stream.shuffle,
             options.context, options.batch);
  std::string all = fmt::format("{} {} {} {} {}", tokenizer_digest(tokenizer), stream.corpus.field,
                                stream.corpus.documents, stream.shuffle, options.context);
  for (const std::string& file : source_->reader().files()) {
    const std::filesystem::path path(file);
    all += fmt::format("\n{} {}", path.filename().string(), std::filesystem::file_size(path));
  }
  signature_ = sha256(all);
  starts_[0] = {};
}

StreamWindows::~StreamWindows() = default;

// Reads one token more than the block's windows start at: the last target.
StreamWindows::Block StreamWindows::read(int64_t number, const Start& start) {
  const int64_t size = stream_.shuffle * options_.context;
  Block block{number, Tokens(tokenizer_.vocab_size()), {}};
  block.tokens.reserve(size + 1);
  source_->seek(start);
  int64_t skip = start.token;
  for (int64_t empty = 0; block.tokens.size() <= size;) {
    const Source::Encoded& document = source_->next();
    const auto length = static_cast<int64_t>(document.ids.size());
    HEED_CHECK(skip <= length, "stream: token {} of a document of {}", skip, length);
    const int64_t begin = block.tokens.size();
    const int64_t taken = std::min(length - skip, size + 1 - begin);
    if (document.begins && skip == 0 && taken > 0) block.tokens.begin_document();
    block.tokens.append(
        std::span(document.ids).subspan(static_cast<size_t>(skip), static_cast<size_t>(taken)));
    // The next block begins with this one's last token.
    if (begin <= size && size < begin + taken) {
      block.next = document.start;
      block.next.token = skip + size - begin;
    }
    skip = 0;
    empty = taken == 0 ? empty + 1 : 0;
    if (empty > int64_t{1} << 20) fail_request("the files of the stream hold no tokens");
  }
  return block;
}

const StreamWindows::Block& StreamWindows::block(int64_t number) {
  for (const auto& held : blocks_) {
    if (held->number == number) return *held;
  }
  const int64_t held_most = options_.batch / stream_.shuffle + 2;  // blocks that a batch may touch
  const auto starts_most = static_cast<size_t>(64 + 16 * held_most);
  const auto from = std::prev(starts_.upper_bound(number));
  Start start = from->second;
  for (int64_t at = from->first;; ++at) {
    blocks_.push_back(std::make_unique<Block>(read(at, start)));
    while (std::ssize(blocks_) > held_most) blocks_.pop_front();
    start = starts_[at + 1] = blocks_.back()->next;
    while (starts_.size() > starts_most) starts_.erase(std::next(starts_.begin()));
    if (at == number) return *blocks_.back();
  }
}

Batch StreamWindows::operator()(int64_t index, const RowSlice& slice) {
  HEED_CHECK(index >= 0, "stream: batch {} was asked for", index);
  const RowRange rows = rows_of(slice, options_.batch);
  Batch batch = empty_batch(rows, options_.context, index, options_.documents);
  const std::lock_guard lock(mutex_);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t window = index * options_.batch + row;
    const Block& own = block(window / stream_.shuffle);
    const Permutation order(
        {options_.seed, hash_name("data/stream"), static_cast<uint64_t>(own.number)},
        static_cast<uint64_t>(stream_.shuffle));
    const uint64_t place = order(static_cast<uint64_t>(window % stream_.shuffle));
    fill_row(batch, row - rows.begin, own.tokens, static_cast<int64_t>(place) * options_.context,
             options_.context);
  }
  return batch;
}

std::vector<std::string> StreamWindows::skipped() const {
  const std::lock_guard lock(mutex_);
  return source_->reader().skipped();
}

const StreamWindows::Start* StreamWindows::start_of(int64_t index) const {
  const auto found = starts_.find(index * options_.batch / stream_.shuffle);
  return found == starts_.end() ? nullptr : &found->second;
}

std::optional<int64_t> StreamWindows::epoch(int64_t index) const {
  const std::lock_guard lock(mutex_);
  const Start* start = start_of(index);
  return start == nullptr ? std::nullopt : std::optional(start->epoch);
}

Config StreamWindows::place(int64_t index) const {
  const std::lock_guard lock(mutex_);
  const Start* start = start_of(index);
  if (start == nullptr) return {};
  return Config::Map{
      {"signature", signature_},        {"block", index * options_.batch / stream_.shuffle},
      {"epoch", start->epoch},          {"file", start->corpus.file},
      {"offset", start->corpus.offset}, {"line", start->corpus.line},
      {"within", start->corpus.within}, {"token", start->token}};
}

void StreamWindows::remember(const Config& place) {
  if (place.at("signature").as_string() != signature_) {
    fail_request(
        "the checkpoint stands in a stream of other files, or of another tokenizer, "
        "context or `shuffle`: its place in the data cannot be taken up (train.from starts "
        "anew from its weights)");
  }
  const int64_t number = place.at("block").as_integer();
  const Start start{place.at("epoch").as_integer(),
                    {place.at("file").as_integer(), place.at("offset").as_integer(),
                     place.at("line").as_integer(), place.at("within").as_bool()},
                    place.at("token").as_integer()};
  if (number < 0 || start.epoch < 0 || start.token < 0) {
    fail_request("the checkpoint's place in the stream is damaged");
  }
  const std::lock_guard lock(mutex_);
  starts_[number] = start;
}

}  // namespace heed::data
