#include "data/tokenize_corpus.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "core/files.h"
#include "data/token_shard.h"

namespace heed::data {
namespace {

namespace fs = std::filesystem;

std::string in(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

/// The texts of a shard.
struct Job {
  int64_t index = 0;
  std::vector<CorpusDocument> documents;
  int64_t bytes = 0;
};

/// All that the shards depend on.
Config request_of(const TokenizeOptions& options, const CorpusReader& reader,
                  const std::string& digest) {
  Config files = Config::list();
  for (const std::string& file : reader.files()) {
    files.append(Config::Map{{"path", fs::absolute(file).lexically_normal().string()},
                             {"bytes", static_cast<int64_t>(fs::file_size(file))}});
  }
  return Config::Map{{"version", 1},
                     {"tokenizer", digest},
                     {"tokenizer_made", options.tokenizer_made},
                     {"field", options.corpus.field},
                     {"documents", options.corpus.documents},
                     {"shard_bytes", options.shard_bytes},
                     {"files", files}};
}

bool is_shard(const fs::path& file) {
  return file.filename().string().starts_with("shard-") &&
         file.filename().string().find(".tokens") != std::string::npos;
}

/// Removes what a request has written, and leaves all else.
void clear(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_shard(entry.path())) files.push_back(entry.path());
  }
  remove_tree(in(folder, kShardIndex));  // first: without it the folder is not complete
  remove_tree(in(folder, kShardRequest));
  for (const fs::path& file : files) remove_tree(file.string());
}

/// Removes what a killed run has left of the shards that it was writing.
void clear_leavings(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_shard(entry.path()) && entry.path().extension() != ".tokens") {
      files.push_back(entry.path());
    }
  }
  for (const fs::path& file : files) remove_tree(file.string());
}

/// Makes the folder one of this request: an empty one, or one that has begun with it.
void take_folder(const std::string& folder, const Config& request, bool overwrite) {
  make_directories(folder);
  const std::string path = in(folder, kShardRequest);
  if (fs::exists(path)) {
    const Config before = read_json_file(path);
    if (before == request) return clear_leavings(folder);
    std::vector<std::string> changed;
    for (const std::string& key : request.keys()) {
      const Config* old = before.find(key);
      if (old == nullptr || !(*old == request.at(key))) changed.push_back(key);
    }
    if (!overwrite) {
      fail_request(
          "'{}' holds token shards of another request (different: {}): choose another "
          "folder, or --overwrite them",
          folder, fmt::join(changed, ", "));
    }
    clear(folder);
  } else {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (is_shard(entry.path()) || name == kShardIndex || name == kShardTokenizer) {
        fail_request("'{}' holds '{}', and no {} that says of what: choose another folder", folder,
                     name, kShardRequest);
      }
    }
  }
  write_file_atomically(path, request.to_json(1));
}

/// A shard of these documents that was written before; none where it is missing or damaged.
std::optional<ShardHeader> finished_shard(const std::string& path, const Job& job,
                                          const std::string& digest) {
  if (!fs::exists(path)) return {};
  try {
    const MappedFile file(path);
    const ShardHeader header = read_shard_header(file.bytes(), path);
    const bool same = header.tokenizer == digest && header.text_bytes == job.bytes;
    if (same && shard_is_whole(file.bytes(), header)) return header;
  } catch (const RequestError&) {  // not a shard: written anew
  }
  return {};
}

ShardContent encode(const Job& job, const Tokenizer& tokenizer, bool last_goes_on) {
  ShardContent content;
  const std::optional<TokenId> end = tokenizer.end_of_text();
  const auto finish = [&] {
    if (end) content.ids.push_back(*end);
  };
  for (size_t i = 0; i < job.documents.size(); ++i) {
    const CorpusDocument& document = job.documents[i];
    const size_t start = content.ids.size();
    try {
      tokenizer.encode(document.text, content.ids);
    } catch (const RequestError& error) {
      fail_request(document.where, error.what());
    }
    if (!document.continues && (content.ids.size() > start || end)) content.starts.push_back(start);
    const bool goes_on =
        i + 1 < job.documents.size() ? job.documents[i + 1].continues : last_goes_on;
    if (!goes_on) finish();
    content.text_bytes += static_cast<int64_t>(document.text.size());
  }
  content.continues = job.documents[0].continues && !content.ids.empty() &&
                      (content.starts.empty() || content.starts[0] > 0);
  return content;
}

/// Threads that turn jobs into shards. No more jobs wait than threads work.
class Workers {
 public:
  Workers(const Tokenizer& tokenizer, const std::string& folder, const std::string& digest,
          int count)
      : tokenizer_(tokenizer), folder_(folder), digest_(digest) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Workers() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      jobs_.clear();
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Waits until a thread is free to take it soon; throws what went wrong meanwhile.
  void add(Job job, bool last_goes_on) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return jobs_.empty() || error_; });
    if (error_) std::rethrow_exception(error_);
    jobs_.emplace_back(std::move(job), last_goes_on);
    changed_.notify_all();
  }
  /// Waits for all; throws what went wrong in the earliest shard that did.
  void finish() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    if (error_) std::rethrow_exception(error_);
  }

  /// What is done so far.
  Tokenized done() const {
    const std::lock_guard lock(mutex_);
    Tokenized all = sums_;
    for (const auto& [index, shard] : made_) all.shards.push_back(shard);
    return all;
  }
  TokenizeProgress progress() const {
    const std::lock_guard lock(mutex_);
    return {0, 0, static_cast<int64_t>(made_.size()), sums_.tokens, sums_.text_bytes};
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !jobs_.empty() || ended_ || error_; });
      if (jobs_.empty() || error_) return;
      const auto [job, goes_on] = std::move(jobs_.front());
      jobs_.pop_front();
      changed_.notify_all();
      lock.unlock();
      std::exception_ptr error;
      ShardEntry entry;
      bool kept = false;
      try {
        entry = make(job, goes_on, kept);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error && (!error_ || job.index < failed_)) {
        error_ = error;
        failed_ = job.index;
      }
      if (!error) {
        sums_.tokens += entry.tokens;
        sums_.documents += entry.documents;
        sums_.text_bytes += entry.text_bytes;
        sums_.kept += kept ? 1 : 0;
        made_.emplace(job.index, std::move(entry));
      }
      changed_.notify_all();
    }
  }

  ShardEntry make(const Job& job, bool last_goes_on, bool& kept) const {
    const std::string name = shard_name(job.index), path = in(folder_, name);
    std::optional<ShardHeader> header = finished_shard(path, job, digest_);
    kept = header.has_value();
    if (!header) {
      header = write_shard(path, encode(job, tokenizer_, last_goes_on), tokenizer_, digest_);
    }
    return {name, header->tokens, header->documents, header->text_bytes, header->content_sum};
  }

  const Tokenizer& tokenizer_;
  const std::string &folder_, &digest_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<Job, bool>> jobs_;
  std::map<int64_t, ShardEntry> made_;
  Tokenized sums_;  // of them
  std::exception_ptr error_;
  int64_t failed_ = 0;
  bool ended_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

Tokenized tokenize_corpus(const TokenizeOptions& options, const Tokenizer& tokenizer,
                          const std::string& folder,
                          const std::function<void(const TokenizeProgress&)>& report) {
  HEED_CHECK(options.shard_bytes >= 1 && options.workers >= 1,
             "tokenize: shards of {} bytes by {} threads", options.shard_bytes, options.workers);
  CorpusReader reader(options.corpus);
  const std::string digest = tokenizer_digest(tokenizer);
  take_folder(folder, request_of(options, reader, digest), options.overwrite);
  tokenizer.save(in(folder, kShardTokenizer));
  Workers workers(tokenizer, folder, digest, options.workers);
  const auto tell = [&](bool finished) {
    if (!report) return;
    TokenizeProgress progress = workers.progress();
    progress.bytes = reader.bytes();
    progress.bytes_read = reader.bytes_read();
    progress.finished = finished;
    report(progress);
  };
  // A job is handed over when the next document is known: whether it goes on with the last one.
  Job job;
  CorpusDocument document;
  while (reader.next(document)) {
    if (job.bytes >= options.shard_bytes) {
      const int64_t next = job.index + 1;
      workers.add(std::exchange(job, Job{next, {}, 0}), document.continues);
    }
    job.bytes += static_cast<int64_t>(document.text.size());
    job.documents.push_back(std::move(document));
    if (job.documents.size() % 256 == 1) tell(false);
  }
  if (job.documents.empty()) {
    fail_request("there is no text in '{}'{}", fmt::join(options.corpus.files, "', '"),
                 reader.skipped().empty() ? "" : ": what is there holds NUL bytes");
  }
  workers.add(std::move(job), false);
  workers.finish();
  tell(true);
  Tokenized all = workers.done();
  all.skipped = reader.skipped();
  write_file_atomically(in(folder, kShardIndex),
                        shard_index(all.shards, tokenizer, digest).to_json(1));
  return all;
}

}  // namespace heed::data
