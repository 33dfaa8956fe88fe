#include "recipes/engine/claim.h"

#include <algorithm>
#include <filesystem>

#include "core/checksum.h"
#include "core/files.h"
#include "recipes/engine/named_items.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

void check_relation(const Claim& claim, const Config& tree, size_t index,
                    const std::vector<std::string>& points) {
  const ClaimRelation& relation = claim.relations[index];
  const auto where = [&](const char* key) { return place(tree, "relations", index, key); };
  const std::vector<std::string> arms = names_of(claim.arms);
  check_known(relation.method, arms, where("method"), "arm");
  check_known(relation.baseline, arms, where("baseline"), "arm");
  check_known(relation.at, points, where("at"), "point");
  check_known(relation.baseline_at, points, where("baseline_at"), "point");
  if (relation.method == relation.baseline && relation.at == relation.baseline_at) {
    fail_request(where("method"),
                 "a relation compares two different things, and both sides of "
                 "this one are the same");
  }
  if (relation.compare == "ratio" && relation.margin <= 0.0) {
    fail_request(where("margin"), "a ratio's margin is a factor above 0 (1 for 'no worse')");
  }
}

/// Fills in what relations leave out: the only point, and the method's point for the baseline.
void complete(Claim& claim, const std::vector<ClaimPoint>& points) {
  for (ClaimRelation& relation : claim.relations) {
    if (relation.at.empty() && points.size() == 1) relation.at = points.front().name;
    if (relation.baseline_at.empty()) relation.baseline_at = relation.at;
  }
}

void check_claim(Claim& claim, const Config& tree) {
  if (claim.arms.size() < 2) fail_request(tree.where(), "a claim compares two arms at least");
  if (claim.relations.empty())
    fail_request(tree.where(), "a claim needs a relation that must hold");
  check_names(tree, "arms", claim.arms);
  check_names(tree, "points", claim.points);
  const std::vector<ClaimPoint> points = claim.points_of("mini");
  complete(claim, points);
  for (const std::string& size : claim_sizes()) {
    if (names_of(claim.points_of(size)) != names_of(points)) {
      fail_request(tree.where(),
                   fmt::format("size {}: its points must have the names of the claim's ({}), which "
                               "the relations speak of",
                               size, fmt::join(names_of(points), ", ")));
    }
  }
  for (size_t i = 0; i < claim.relations.size(); ++i) {
    check_relation(claim, tree, i, names_of(points));
  }
}

void add(std::vector<std::string>& list, const std::vector<std::string>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

std::string recipe_file(const Claim& claim, const ClaimArm& arm, const std::string& size) {
  std::string name = !arm.recipe.empty() ? arm.recipe : claim.size(size).recipe;
  if (name.empty()) name = size + ".yaml";
  if (const size_t at = name.find("{size}"); at != std::string::npos) name.replace(at, 6, size);
  const std::string path = (fs::path(claim.file).parent_path() / name).lexically_normal().string();
  if (!fs::is_regular_file(path)) {
    fail_request("claim {}: arm {} has no size '{}': there is no file {}", claim.slug, arm.name,
                 size, path);
  }
  return path;
}

}  // namespace

void ClaimArm::options(Options& o) {
  o.field("name", name, "names the arm and its folder", {.required = true});
  o.field("role", role, "what the paper proposes, or what it is measured against",
          {.one_of = {"baseline", "method"}});
  o.field("description", description, "one line for people");
  o.field("recipe", recipe,
          "its recipe, relative to the claim's file, with {size} for the size; empty takes the "
          "size's");
  o.field(
      "bench", bench,
      "instead of a recipe: arguments of `heed bench`, whose numbers are the metrics; one run is "
      "one measurement, and overrides (here, of points and of sizes) are more arguments");
  o.field("overrides", overrides, "what it changes in the recipe: [model.position=alibi]");
  o.check(recipe.empty() || bench.empty(), "bench", "an arm has a recipe or a benchmark, not both");
}

void ClaimPoint::options(Options& o) {
  o.field("name", name, "names the measurement", {.required = true});
  o.field("overrides", overrides,
          "what it changes in the trained run's recipe: [model.context=256]");
}

void ClaimMetric::options(Options& o) {
  o.field("name", name, "a held-out metric of the recipe's task");
  o.field("better", better, "which way it improves", {.one_of = {"lower", "higher"}});
  o.field("checkpoint", checkpoint, "of the end of training, or of the best evaluation in it",
          {.one_of = {"final", "best"}});
}

void ClaimRelation::options(Options& o) {
  o.field("method", method, "the arm that should be better", {.required = true});
  o.field("baseline", baseline, "the arm that it is compared with", {.required = true});
  o.field("at", at, "the point where both are measured");
  o.field("baseline_at", baseline_at, "the baseline's point where it is another one");
  o.field("metric", metric,
          "another metric than the claim's, that improves the same way: peak_bytes");
  o.field("compare", compare,
          "improvement as a difference, or as a ratio of geometric means (a factor)",
          {.one_of = {"difference", "ratio"}});
  o.field("margin", margin,
          "the improvement must exceed it, in the metric's unit or as a factor; a negative "
          "difference (a factor below 1) allows the method to be that much worse",
          {.required = true});
  o.field("statement", statement, "the relation in words");
}

void ClaimSize::options(Options& o) {
  o.field("recipe", recipe,
          "the arms' recipe, relative to the claim's file; empty means <size>.yaml");
  o.field("seeds", seeds, "runs of each arm, with seeds 1, 2, ...", {.min = 1});
  o.field("overrides", overrides, "what the size changes in every arm's recipe");
  o.list("points", points, "replace the claim's points, under the same names");
}

void ClaimSizes::options(Options& o) {
  o.field("smoke", smoke, "seconds: shows that the experiment runs, and nothing about the paper");
  o.field("mini", mini, "minutes on two cores");
  o.field("paper", paper, "the published setting");
}

void Claim::options(Options& o) {
  o.field("title", title, "the claim in a line", {.required = true});
  o.field("paper", paper, "authors, title, where it appeared", {.required = true});
  o.field("statement", statement, "what the paper says, and where in it", {.required = true});
  o.field("notes", notes, "how this experiment differs from the paper's");
  o.field("metric", metric, "what is measured");
  o.list("arms", arms, "what is compared");
  o.field("axis", axis, "what the points are values of");
  o.list("points", points, "measurements of each trained arm; none means one, as it was trained");
  o.list("relations", relations, "what must hold, all of it");
  o.field("sizes", sizes, "how large the experiment can be made");
}

const ClaimArm& Claim::arm(const std::string& name) const {
  for (const ClaimArm& arm : arms) {
    if (arm.name == name) return arm;
  }
  fail_request("claim {}: there is no arm '{}'{}", slug, name, did_you_mean(name, names_of(arms)));
}

std::vector<ClaimPoint> Claim::points_of(const std::string& size_name) const {
  const std::vector<ClaimPoint>& own = size(size_name).points;
  if (!own.empty()) return own;
  if (!points.empty()) return points;
  return {{.name = "trained", .overrides = {}}};
}

const ClaimSize& Claim::size(const std::string& name) const {
  if (name == "smoke") return sizes.smoke;
  if (name == "mini") return sizes.mini;
  if (name == "paper") return sizes.paper;
  fail_request("claim {}: unknown size '{}'{}; known: {}", slug, name,
               did_you_mean(name, claim_sizes()), fmt::join(claim_sizes(), ", "));
}

std::vector<std::string> Claim::metrics_of(const std::string& arm) const {
  std::vector<std::string> names = {metric.name};
  names.insert(names.end(), more_metrics.begin(), more_metrics.end());
  for (const ClaimRelation& relation : relations) {
    const bool asked = relation.method == arm || relation.baseline == arm;
    const bool known = std::find(names.begin(), names.end(), relation.metric) != names.end();
    if (asked && !known && !relation.metric.empty()) names.push_back(relation.metric);
  }
  return names;
}

const std::vector<std::string>& claim_sizes() {
  static const std::vector<std::string> sizes = {"smoke", "mini", "paper"};
  return sizes;
}

Claim load_claim(const std::string& path) {
  const std::string text = read_file(path);
  const Config tree = parse_yaml(text, path);
  Claim claim = read_options<Claim>(tree, "claim", {});
  claim.file = path;
  claim.slug = fs::absolute(path).lexically_normal().parent_path().filename().string();
  claim.sha256 = sha256(text);
  check_claim(claim, tree);
  return claim;
}

std::string ClaimRun::label() const { return fmt::format("{}:{}", arm, seed); }

ClaimPlan plan_claim(const Claim& claim, const std::string& size, const std::string& out,
                     int64_t seeds) {
  ClaimPlan plan;
  plan.claim = claim;
  plan.size = size;
  plan.points = claim.points_of(size);
  plan.seeds = seeds > 0 ? seeds : claim.size(size).seeds;
  plan.out = out.empty() ? fmt::format("runs/{}-{}", claim.slug, size) : out;
  for (int64_t seed = 1; seed <= plan.seeds; ++seed) {
    for (const ClaimArm& arm : claim.arms) {
      ClaimRun run;
      run.arm = arm.name;
      run.seed = seed;
      std::vector<std::string> changes = claim.size(size).overrides;
      add(changes, arm.overrides);
      if (arm.bench.empty()) {
        run.recipe = recipe_file(claim, arm, size);
        run.overrides = std::move(changes);
        if (seed == 1) load_recipe(run.recipe, run.overrides);
        run.overrides.push_back(fmt::format("seed={}", seed));
      } else {
        run.bench = arm.bench;
        add(run.bench, changes);
      }
      run.folder = (fs::path(plan.out) / arm.name / fmt::format("seed-{}", seed)).string();
      plan.runs.push_back(std::move(run));
    }
  }
  return plan;
}

Config claim_schema() {
  Config schema = describe_options<Claim>();
  schema.set("$schema", "https://json-schema.org/draft/2020-12/schema");
  schema.set("title", "heed claim");
  return schema;
}

}  // namespace heed::recipes
