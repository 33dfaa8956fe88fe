#include "recipes/engine/claim_runner.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "core/checksum.h"
#include "core/files.h"
#include "core/parallel.h"
#include "recipes/engine/child_process.h"
#include "recipes/engine/interrupt.h"
#include "recipes/engine/recipe_tree.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::string log_of(const ClaimRun& run) { return run.folder + ".log"; }

/// The last `bytes` of a file; "" when there is none.
std::string tail_of(const std::string& path, int64_t bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const auto size = static_cast<int64_t>(file.tellg());
  file.seekg(std::max<int64_t>(0, size - bytes));
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Steps that a run has logged.
int64_t steps_done(const ClaimRun& run) {
  std::string tail = tail_of((fs::path(run.folder) / "metrics.jsonl").string(), 4096);
  tail.resize(tail.rfind('\n') == std::string::npos ? 0 : tail.rfind('\n'));
  constexpr std::string_view kStep = "\"step\":";
  const size_t at = tail.rfind(kStep);
  return at == std::string::npos ? 0 : std::atoll(tail.c_str() + at + kStep.size());
}

/// Why a process failed, from the end of its log.
std::string failure_of(const ClaimRun& run, int status) {
  constexpr std::string_view kError = "error: ";
  const std::string tail = tail_of(log_of(run), 8192);
  if (const size_t at = tail.rfind(kError); at != std::string::npos && status < 128) {
    std::string text = tail.substr(at + kError.size());
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }
  if (status > 128) {
    return fmt::format("its process was ended by signal {} ({}); see {}", status - 128,
                       strsignal(status - 128), log_of(run));
  }
  return fmt::format("its process ended with status {}; see {}", status, log_of(run));
}

class Runner {
 public:
  Runner(const ClaimPlan& plan, const ClaimRunnerOptions& options, ClaimObserver& observer)
      : plan_(plan), options_(options), observer_(observer) {}

  ClaimResult run();

 private:
  struct Job {
    size_t index;  ///< of the plan's run
    ChildProcess process;
  };

  void record_claim();
  void read_finished();
  void run_here();
  void run_beside();
  void start(size_t index);
  void collect(const Job& job);
  void end(size_t index, ClaimRunOutcome outcome, bool found);
  void report_progress();
  void interrupt();

  const ClaimPlan& plan_;
  const ClaimRunnerOptions& options_;
  ClaimObserver& observer_;
  ClaimResult result_;
  std::vector<std::optional<ClaimRunOutcome>> outcomes_;
  std::vector<int64_t> steps_;  ///< that each run will do
  std::deque<size_t> waiting_;
  std::vector<Job> jobs_;
  int64_t threads_ = 1;  ///< of a process
};

void Runner::record_claim() {
  const std::string path = (fs::path(plan_.out) / "claim.yaml").string();
  make_directories(plan_.out);
  if (!fs::exists(path)) write_file_atomically(path, read_file(plan_.claim.file));
  const std::string started_with = read_file(path);
  result_.sha256_at_start = sha256(started_with);
  if (result_.sha256_at_start == plan_.claim.sha256) return;
  result_.changes = tree_changes(parse_yaml(started_with, path), read_yaml_file(plan_.claim.file));
  if (result_.changes.empty()) result_.changes = {"comments or layout"};
  observer_.on_warning(fmt::format("{} has changed since its first run started: {}",
                                   plan_.claim.file, fmt::join(result_.changes, ", ")));
}

void Runner::end(size_t index, ClaimRunOutcome outcome, bool found) {
  observer_.on_run(outcome, found);
  outcomes_[index] = std::move(outcome);
}

void Runner::read_finished() {
  std::vector<std::optional<ClaimRunResult>> found;
  for (const ClaimRun& run : plan_.runs) {
    found.push_back(finished_run(plan_, run));
    steps_.push_back(run.recipe.empty() ? 1 : load_recipe(run.recipe, run.overrides).train.steps);
  }
  outcomes_.resize(plan_.runs.size());
  record_claim();
  observer_.on_start(plan_, std::count_if(found.begin(), found.end(),
                                          [](const auto& result) { return result.has_value(); }));
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i]) {
      end(i, {plan_.runs[i], found[i], ""}, true);
    } else {
      waiting_.push_back(i);
    }
  }
}

void Runner::run_here() {
  for (const size_t index : waiting_) {
    const ClaimRun& run = plan_.runs[index];
    TrainObserver silent;
    ClaimRunOutcome outcome{run, {}, ""};
    try {
      outcome.result = execute_run(plan_, run, silent, false);
    } catch (const Error& error) {
      outcome.error = error.what();
    }
    end(index, std::move(outcome), false);
    report_progress();
  }
}

void Runner::start(size_t index) {
  const ClaimRun& run = plan_.runs[index];
  make_directories(fs::path(run.folder).parent_path().string());
  jobs_.push_back(
      {index, ChildProcess(options_.command(run),
                           {{"OMP_NUM_THREADS", fmt::format("{}", threads_)}}, log_of(run))});
}

void Runner::collect(const Job& job) {
  const ClaimRun& run = plan_.runs[job.index];
  ClaimRunOutcome outcome{run, {}, ""};
  try {
    if (job.process.status() == 0) outcome.result = finished_run(plan_, run);
    if (!outcome.result) outcome.error = failure_of(run, job.process.status());
  } catch (const Error& error) {
    outcome.error = error.what();
  }
  end(job.index, std::move(outcome), false);
}

void Runner::run_beside() {
  const InterruptGuard interrupted(options_.handle_signals);
  const auto cores = static_cast<int64_t>(thread_count());
  const auto jobs = std::clamp<int64_t>(options_.jobs > 0 ? options_.jobs : cores, 1,
                                        std::max<int64_t>(1, std::ssize(waiting_)));
  threads_ = std::max<int64_t>(1, cores / jobs);
  auto reported = Clock::now();
  while (!waiting_.empty() || !jobs_.empty()) {
    if (interrupted.signal() != 0) interrupt();
    while (std::ssize(jobs_) < jobs && !waiting_.empty()) {
      start(waiting_.front());
      waiting_.pop_front();
    }
    for (size_t j = 0; j < jobs_.size();) {
      if (!jobs_[j].process.ended()) {
        ++j;
        continue;
      }
      collect(jobs_[j]);
      jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(j));
      reported = {};
    }
    if (Clock::now() - reported > std::chrono::seconds(1)) {
      report_progress();
      reported = Clock::now();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void Runner::interrupt() {
  for (Job& job : jobs_) job.process.send(SIGTERM);
  for (Job& job : jobs_) {
    while (!job.process.ended()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  fail("interrupted; the runs are saved in {}, and the same command goes on", plan_.out);
}

void Runner::report_progress() {
  ClaimProgress progress;
  progress.runs = std::ssize(plan_.runs);
  for (size_t i = 0; i < plan_.runs.size(); ++i) {
    progress.steps += steps_[i];
    if (!outcomes_[i]) continue;
    progress.steps_done += steps_[i];
    ++(outcomes_[i]->result ? progress.finished : progress.failed);
  }
  for (const Job& job : jobs_) {
    const int64_t done = steps_done(plan_.runs[job.index]);
    progress.steps_done += done;
    progress.current.push_back(
        fmt::format("{} {}/{}", plan_.runs[job.index].label(), done, steps_[job.index]));
  }
  observer_.on_progress(progress);
}

ClaimResult Runner::run() {
  result_.plan = plan_;
  read_finished();
  options_.command ? run_beside() : run_here();
  for (std::optional<ClaimRunOutcome>& outcome : outcomes_) {
    result_.runs.push_back(std::move(*outcome));
  }
  judge(result_);
  return std::move(result_);
}

}  // namespace

ClaimResult run_claim(const ClaimPlan& plan, const ClaimRunnerOptions& options,
                      ClaimObserver& observer) {
  return Runner(plan, options, observer).run();
}

void remove_claim(const ClaimPlan& plan) {
  const fs::path out(plan.out);
  for (const char* name : {"claim.yaml", "claim.result.json", "claim.html"}) {
    remove_tree((out / name).string());
  }
  for (const ClaimArm& arm : plan.claim.arms) {
    if (!fs::is_directory(out / arm.name)) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(out / arm.name)) {
      if (entry.path().filename().string().starts_with("seed-")) remove_tree(entry.path().string());
    }
    std::error_code not_empty;
    fs::remove(out / arm.name, not_empty);
  }
}

}  // namespace heed::recipes
