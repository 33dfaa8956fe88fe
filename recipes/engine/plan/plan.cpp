#include "recipes/engine/plan/plan.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "recipes/engine/shared_model.h"

namespace heed::recipes {
namespace {

std::vector<int64_t> divisors(int64_t n) {
  std::vector<int64_t> all;
  for (int64_t d = 1; d * d <= n; ++d) {
    if (n % d != 0) continue;
    all.push_back(d);
    if (d != n / d) all.push_back(n / d);
  }
  std::sort(all.begin(), all.end());
  return all;
}

PlannedRun run_as(const Plan& plan, const Share& share) {
  PlannedRun run;
  run.share = share;
  run.memory = largest_memory(plan.model, share);
  run.traffic = step_traffic(plan.model, share);
  run.time = step_time(plan.model, share, plan.request.machine, plan.precision);
  run.fits = static_cast<double>(run.memory.total) <= plan.request.machine.usable_bytes();
  return run;
}

/// Fitting ones first, then the fastest; those that do not fit by what they lack.
bool better(const PlannedRun& a, const PlannedRun& b) {
  if (a.fits != b.fits) return a.fits;
  if (!a.fits) return a.memory.total < b.memory.total;
  return a.time.total() < b.time.total();
}

/// What a model of time cannot tell apart goes to the mesh that shares the batch most.
void prefer_simple(std::vector<PlannedRun>& runs) {
  constexpr double kAlike = 1.01;
  const double limit = kAlike * runs.front().time.total();
  auto best = runs.begin();
  for (auto run = runs.begin(); run != runs.end() && run->fits; ++run) {
    if (run->time.total() > limit) break;
    if (run->share.mesh.data > best->share.mesh.data) best = run;
  }
  std::rotate(runs.begin(), best, best + 1);
}

/// The ways to cut the step of `base` (a whole step on one rank's terms) into micro-batches: as the
/// recipe does, and, for a pipeline, in more and smaller ones.
std::vector<Share> cuts(const Share& base, const PlanRequest& request) {
  std::vector<Share> all;
  for (const int64_t more : divisors(base.rows)) {
    Share share = base;
    share.rows = base.rows / more;
    share.micro_batches = base.micro_batches * more;
    if (request.micro_batches && share.micro_batches != *request.micro_batches) continue;
    all.push_back(share);
    if (!request.micro_batches && base.mesh.pipeline == 1) break;
  }
  return all;
}

std::vector<SequenceMethod> methods(const PlanRequest& request, const MeshShape& mesh) {
  if (request.method) return {*request.method};
  if (mesh.sequence == 1) return {SequenceMethod::ring};
  return {SequenceMethod::ring, SequenceMethod::heads, SequenceMethod::rsa};
}

/// The best run of one mesh, or nothing and the reason why there is none.
std::optional<PlannedRun> best_of(const Plan& plan, const Share& base, std::string* why) {
  std::optional<PlannedRun> best;
  const PlanRequest& request = plan.request;
  for (const SequenceMethod method : methods(request, base.mesh)) {
    for (Share share : cuts(base, request)) {
      share.method = method;
      for (const Sharding sharding : kShardings) {
        if (request.sharding && sharding != *request.sharding) continue;
        share.sharding = sharding;
        if (const std::string no = refusal(plan.model, share); !no.empty()) {
          if (why->empty()) *why = no;
          continue;
        }
        const PlannedRun run = run_as(plan, share);
        if (!best || better(run, *best)) best = run;
        if (run.fits || share.mesh.data == 1) break;
      }
    }
  }
  return best;
}

void find_limits(Plan& plan) {
  const double room = plan.request.machine.usable_bytes();
  const Share& share = plan.best.share;
  if (plan.model.resizable) {
    const int64_t unit = token_multiple(share);
    plan.longest_tokens = unit * largest([&](int64_t n) {
                            const PlannedModel model = plan.model.with_tokens(n * unit);
                            return static_cast<double>(largest_memory(model, share).total) <= room;
                          });
  }
  plan.largest_rows =
      share.mesh.data * largest([&](int64_t n) {
        Share larger = share;
        larger.rows = n * share.mesh.data;
        return static_cast<double>(largest_memory(plan.model, larger).total) <= room;
      });
}

}  // namespace

double Plan::tokens_per_second() const {
  return static_cast<double>(rows_per_step * std::max<int64_t>(model.tokens, 1)) /
         best.time.total();
}

std::vector<MeshShape> all_meshes(int64_t ranks) {
  std::vector<MeshShape> all;
  for (const int64_t tensor : divisors(ranks)) {
    for (const int64_t sequence : divisors(ranks / tensor)) {
      for (const int64_t pipeline : divisors(ranks / tensor / sequence)) {
        all.push_back({ranks / tensor / sequence / pipeline, pipeline, sequence, tensor});
      }
    }
  }
  return all;
}

namespace {

/// As many ranks as are given or, where none are, as its axes name.
int64_t ranks_or_those_of(MeshShape mesh, int64_t ranks) {
  mesh.data = std::max<int64_t>(1, mesh.data);
  return ranks > 0 ? ranks : mesh.ranks();
}

/// What the recipe says of its mesh and the request leaves open. Axes within a row of the batch are
/// a choice; a data axis alone is what every recipe has.
void take_from_recipe(const ParallelOptions& parallel, PlanRequest& request) {
  MeshShape mesh = parallel.shape();
  const bool chosen = mesh.pipeline > 1 || mesh.sequence > 1 || mesh.tensor > 1;
  if (!request.mesh && chosen) request.mesh = fit_mesh(mesh, request.ranks, "--gpus");
  if (!request.sharding && parallel.shard != "none") {
    request.sharding = sharding_from_name(parallel.shard);
  }
  if (!request.method && (mesh.sequence > 1 || parallel.sequence_attention != "ring")) {
    request.method = sequence_method(parallel.sequence_attention);
  }
}

}  // namespace

MeshShape mesh_from_text(const std::string& text, int64_t ranks) {
  const std::vector<std::string> names = {"data", "pipeline", "sequence", "tensor"};
  MeshShape mesh;
  mesh.data = 0;
  const std::map<std::string, int64_t*> axes = {{"data", &mesh.data},
                                                {"pipeline", &mesh.pipeline},
                                                {"sequence", &mesh.sequence},
                                                {"tensor", &mesh.tensor}};
  int64_t named = 1;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, end - at);
    const size_t equals = part.find('=');
    const auto axis = axes.find(part.substr(0, equals));
    if (axis == axes.end()) {
      fail_request("--mesh: unknown axis '{}'{}: there are data, pipeline, sequence and tensor",
                   part.substr(0, equals), did_you_mean(part.substr(0, equals), names));
    }
    const std::string number = equals == std::string::npos ? "" : part.substr(equals + 1);
    const bool digits = !number.empty() && number.size() < 10 &&
                        number.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoll(number) == 0) {
      fail_request("--mesh: '{}' must be like {}=2", part, axis->first);
    }
    *axis->second = std::stoll(number);
    named *= *axis->second;
    if (named > kMostRanks) fail_request("--mesh: at most {} ranks are planned", kMostRanks);
    at = end + 1;
  }
  return fit_mesh(mesh, ranks_or_those_of(mesh, ranks), "--gpus");
}

Plan make_plan(const Recipe& recipe, const PlanRequest& request) {
  Plan plan;
  plan.name = recipe.name;
  plan.file = recipe.file;
  plan.parallel = recipe.parallel;
  plan.precision = recipe.train.precision;
  if (plan.precision == "f64") {
    fail_request(
        "train.precision: f64 is not planned, which is for checking numbers: plan it as f32 or "
        "bf16 (train.precision=f32)");
  }
  plan.request = request;
  const int64_t ranks = plan.request.ranks =
      ranks_or_those_of(request.mesh.value_or(recipe.parallel.shape()), request.ranks);
  take_from_recipe(recipe.parallel, plan.request);
  plan.model = planned_model(recipe);
  plan.rows_per_step = recipe.train.batch_size * recipe.train.accumulation;

  Share base;
  base.checkpointing = request.checkpointing.value_or(plan.model.checkpointing);
  base.element_bytes = plan.precision == "bf16" ? 2.0 : 4.0;
  base.rows = recipe.train.batch_size;
  base.micro_batches = recipe.train.accumulation;
  base.evaluation_rows = recipe.evaluation.batch_size;
  base.layout = sequence_layout(recipe.parallel, plan.model.type == "gpt");
  base.share_norms = recipe.parallel.share_norms;
  base.adaptive_clip = recipe.train.adaptive_clip > 0.0;
  base.average = recipe.train.ema > 0.0;
  base.optimizer = recipe.optimizer;

  std::string why;
  std::vector<PlannedRun> runs;
  const auto& mesh_given = plan.request.mesh;
  const auto meshes = mesh_given ? std::vector{*mesh_given} : all_meshes(ranks);
  for (const MeshShape& mesh : meshes) {
    base.mesh = mesh;
    if (const auto run = best_of(plan, base, &why)) runs.push_back(*run);
  }
  plan.meshes = static_cast<int64_t>(meshes.size());
  if (runs.empty() && request.micro_batches && why.empty()) {
    fail_request("--micro-batches {}: the {} rows of a step ({} x {}) do not make so many",
                 *request.micro_batches, plan.rows_per_step, recipe.train.batch_size,
                 recipe.train.accumulation);
  }
  if (runs.empty() && mesh_given) {
    fail_request("{} cannot be shared over {}: {}", plan.name, mesh_given->to_string(), why);
  }
  if (runs.empty()) {
    fail_request(
        "{} cannot be shared among {} ranks in any mesh (for one: {}); change --gpus, or "
        "train.batch_size",
        plan.name, ranks, why);
  }
  std::stable_sort(runs.begin(), runs.end(), better);
  prefer_simple(runs);
  plan.best = runs.front();
  constexpr size_t kShown = 8;
  plan.others.assign(runs.begin() + 1,
                     runs.begin() + static_cast<std::ptrdiff_t>(std::min(runs.size(), kShown + 1)));

  for (const Sharding sharding : kShardings) {
    Share share = plan.best.share;
    share.sharding = sharding;
    plan.by_sharding.push_back(largest_memory(plan.model, share));
  }
  for (int64_t stage = 0; stage < plan.best.share.mesh.pipeline; ++stage) {
    plan.by_stage.push_back(rank_memory(plan.model, plan.best.share, stage));
  }
  Share turned = plan.best.share;
  turned.checkpointing = !turned.checkpointing;
  plan.other_checkpointing = largest_memory(plan.model, turned);
  find_limits(plan);
  return plan;
}

}  // namespace heed::recipes
