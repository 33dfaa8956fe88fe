#include "recipes/engine/claim_run.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "core/checksum.h"
#include "core/files.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/report/run_data.h"
#include "recipes/engine/trainer.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

std::string path_in(const ClaimRun& run, const char* name) {
  return (fs::path(run.folder) / name).string();
}

/// Keeps other processes out of a run's folder while it lives.
class FolderLock {
 public:
  explicit FolderLock(const std::string& path)
      : descriptor_(open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644)) {
    HEED_CHECK(descriptor_ >= 0, "{}: cannot be opened", path);
    constexpr auto kPatience = std::chrono::seconds(10);  // a killed process may still be going
    const auto start = std::chrono::steady_clock::now();
    while (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (std::chrono::steady_clock::now() - start > kPatience) {
        close(descriptor_);
        fail("{}: another process is working on this run", path);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  ~FolderLock() { close(descriptor_); }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

/// What the numbers of a run depend on.
struct Identity {
  std::string training, measurements;
};

Identity identity_of(const ClaimPlan& plan, const ClaimRun& run) {
  const std::string subject = run.recipe.empty()
                                  ? fmt::format("bench {}", fmt::join(run.bench, "\n"))
                                  : to_config(load_recipe(run.recipe, run.overrides)).to_json();
  Config measurements = Config::map();
  measurements.set("checkpoint", plan.claim.metric.checkpoint);
  for (const ClaimPoint& point : plan.points) {
    measurements.set(point.name, fmt::format("{}", fmt::join(point.overrides, "\n")));
  }
  return {sha256(subject), sha256(measurements.to_json())};
}

std::string text_at(const Config& tree, const char* key) {
  const Config* value = tree.find(key);
  return value == nullptr ? "" : value->as_string();
}

ClaimRunResult result_from(const Config& saved) {
  ClaimRunResult result;
  result.parameters = saved.at("parameters").as_integer();
  result.step = saved.at("step").as_integer();
  result.seconds = saved.at("seconds").as_number();
  for (const auto& [point, metrics] : saved.at("points").as_map()) {
    result.points.emplace_back(point, Metrics{});
    for (const auto& [name, value] : metrics.as_map()) {
      result.points.back().second.emplace_back(name, value.is_null() ? NAN : value.as_number());
    }
  }
  return result;
}

void save(const ClaimRun& run, const Identity& identity, const ClaimRunResult* result) {
  Config file = Config::map();
  file.set("training", identity.training);
  file.set("measurements", identity.measurements);
  if (result != nullptr) {
    file.set("parameters", result->parameters);
    file.set("step", result->step);
    file.set("seconds", result->seconds);
    Config points = Config::map();
    for (const auto& [name, metrics] : result->points) {
      Config values = Config::map();
      for (const auto& [metric, value] : metrics) values.set(metric, value);
      points.set(name, values);
    }
    file.set("points", points);
  }
  write_file_atomically(path_in(run, "claim.run.json"), file.to_json(2) + "\n");
}

/// claim.run.json, checked to be of this experiment; null when there is none.
Config saved_run(const ClaimRun& run, const Identity& identity) {
  const std::string path = path_in(run, "claim.run.json");
  if (!fs::exists(path)) {
    if (fs::exists(path_in(run, "recipe.yaml"))) {
      fail_request("{}: holds a run that is not this claim's; choose another folder", run.folder);
    }
    return {};
  }
  Config saved = read_json_file(path);
  if (text_at(saved, "training") != identity.training) {
    fail_request(
        "{}: holds a run of another recipe than {} trains now; choose another folder or start anew "
        "(--force)",
        run.folder, run.label());
  }
  return saved;
}

std::string measured_checkpoint(const ClaimPlan& plan, const EndReport& end) {
  if (plan.claim.metric.checkpoint == "final" || end.best_step == end.step) return end.checkpoint;
  for (const CheckpointInfo& checkpoint : list_checkpoints(end.run_dir)) {
    if (checkpoint.step == end.best_step) return checkpoint.path;
  }
  fail(
      "{}: its best checkpoint (step {}) is not there; a claim that measures the best one needs "
      "train.keep_best",
      end.run_dir, end.best_step);
}

ClaimRunResult train_and_measure(const ClaimPlan& plan, const ClaimRun& run,
                                 TrainObserver& observer, bool handle_signals) {
  TrainRequest request;
  request.recipe = load_recipe(run.recipe, run.overrides);
  request.run_dir = run.folder;
  request.resume = true;
  request.handle_signals = handle_signals;
  const EndReport end = train(request, observer);
  HEED_CHECK(!end.interrupted, "interrupted at step {}; {} is saved", end.step, end.checkpoint);

  ClaimRunResult result;
  result.seconds = end.seconds;
  const Config start = read_run(run.folder).start;
  result.parameters = start.at("parameters").as_integer();
  const std::string checkpoint = measured_checkpoint(plan, end);
  for (const ClaimPoint& point : plan.points) {
    std::vector<std::string> overrides = point.overrides;
    overrides.push_back("evaluation.baselines=[]");  // they are the run's own business
    const Evaluation measured = evaluate(checkpoint, overrides);
    result.step = measured.step;
    result.points.emplace_back(point.name, measured.metrics);
  }
  return result;
}

ClaimRunResult benchmark(const ClaimPlan& plan, const ClaimRun& run) {
  HEED_CHECK(plan.bench != nullptr, "{}: there is nothing here that runs benchmarks", run.label());
  ClaimRunResult result;
  const auto start = std::chrono::steady_clock::now();
  for (const ClaimPoint& point : plan.points) {
    std::vector<std::string> arguments = run.bench;
    arguments.insert(arguments.end(), point.overrides.begin(), point.overrides.end());
    result.points.emplace_back(point.name, plan.bench(arguments));
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace

double ClaimRunResult::value(const std::string& metric, const std::string& point) const {
  for (const auto& [name, metrics] : points) {
    if (name != point) continue;
    const double* found = find_metric(metrics, metric);
    if (found == nullptr) {
      std::vector<std::string> names;
      for (const auto& entry : metrics) names.push_back(entry.first);
      fail("the task measures no '{}'{}; it has {}", metric, did_you_mean(metric, names),
           fmt::join(names, ", "));
    }
    HEED_CHECK(std::isfinite(*found), "{} at {} is {}", metric, point, *found);
    return *found;
  }
  fail("nothing was measured at {}", point);
}

std::optional<ClaimRunResult> finished_run(const ClaimPlan& plan, const ClaimRun& run) {
  const Identity identity = identity_of(plan, run);
  const Config saved = saved_run(run, identity);
  if (!saved.has("points") || text_at(saved, "measurements") != identity.measurements) return {};
  return result_from(saved);
}

ClaimRunResult execute_run(const ClaimPlan& plan, const ClaimRun& run, TrainObserver& observer,
                           bool handle_signals) {
  make_directories(run.folder);
  const FolderLock lock(path_in(run, "claim.lock"));
  if (auto done = finished_run(plan, run)) return *done;
  const Identity identity = identity_of(plan, run);
  save(run, identity, nullptr);

  const ClaimRunResult result = run.recipe.empty()
                                    ? benchmark(plan, run)
                                    : train_and_measure(plan, run, observer, handle_signals);
  // What cannot be compared fails here.
  for (const std::string& metric : plan.claim.metrics_of(run.arm)) {
    for (const ClaimPoint& point : plan.points) result.value(metric, point.name);
  }
  save(run, identity, &result);
  return result;
}

}  // namespace heed::recipes
