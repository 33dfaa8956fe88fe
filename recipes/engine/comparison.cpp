#include "recipes/engine/comparison.h"

#include <algorithm>
#include <filesystem>

#include "core/checksum.h"
#include "core/files.h"
#include "recipes/engine/named_items.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

/// Whether the name is among them.
bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void check_comparison(const Comparison& comparison, const Config& tree) {
  if (comparison.arms.empty()) fail_request(tree.where(), "a comparison needs arms");
  if (comparison.tests.empty()) fail_request(tree.where(), "a comparison needs tests");
  check_names(tree, "arms", comparison.arms);
  check_names(tree, "tests", comparison.tests);
  for (size_t t = 0; t < comparison.tests.size(); ++t) {
    if (comparison.tests[t].columns.empty()) {
      fail_request(
          place(tree, "tests", t, "columns"),
          fmt::format("test '{}' shows nothing: it needs columns", comparison.tests[t].name));
    }
  }
  for (size_t a = 0; a < comparison.arms.size(); ++a) {
    for (const std::string& test : comparison.arms[a].skips)
      check_known(test, names_of(comparison.tests), place(tree, "arms", a, "skips"), "test");
  }
}

template <class T>
std::vector<T> picked(const std::vector<T>& items, const std::vector<std::string>& wanted,
                      const std::string& file, const char* what) {
  if (wanted.empty()) return items;
  for (const std::string& name : wanted) check_known(name, names_of(items), {file, 0, 0}, what);
  std::vector<T> kept;
  for (const T& item : items) {
    if (has(wanted, item.name)) kept.push_back(item);
  }
  return kept;
}

std::vector<std::string> together(const std::vector<std::string>& a,
                                  const std::vector<std::string>& b) {
  std::vector<std::string> all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

/// The test as a claim that relates nothing.
Claim claim_of(const Comparison& comparison, const ComparisonTest& test) {
  Claim claim;
  claim.title = fmt::format("{}: {}", comparison.title, test.name);
  claim.file = comparison.file;
  claim.slug = comparison.slug;
  claim.sha256 = comparison.sha256;
  claim.metric = {test.columns.front().metric, test.columns.front().better, "final"};
  for (size_t c = 1; c < test.columns.size(); ++c)
    claim.more_metrics.push_back(test.columns[c].metric);
  claim.sizes.mini.seeds = comparison.seeds;
  const fs::path recipe = fs::path(comparison.file).parent_path() / test.recipe;
  for (const ComparisonArm& arm : comparison.arms) {
    if (!arm.takes(test)) continue;
    ClaimArm own;
    own.name = arm.name;
    own.description = arm.description;
    own.overrides = together(test.overrides, arm.overrides);
    if (test.bench.empty()) {
      own.recipe = test.recipe;
    } else {
      load_recipe(recipe.string(), own.overrides);
      own.bench = {test.bench.front(), recipe.lexically_normal().string()};
      own.bench.insert(own.bench.end(), test.bench.begin() + 1, test.bench.end());
    }
    claim.arms.push_back(std::move(own));
  }
  return claim;
}

}  // namespace

void ComparisonColumn::options(Options& o) {
  o.field("metric", metric,
          "a held-out metric of the recipe's task, or a number that the benchmark prints with "
          "--json (step_ms.median)",
          {.required = true});
  o.field("title", title, "over the column; empty means the metric's name");
  o.field("unit", unit, "of its numbers: ms; bytes are shown as KiB, MiB");
  o.field("better", better, "which way it improves", {.one_of = {"lower", "higher"}});
}

void ComparisonTest::options(Options& o) {
  o.field("name", name, "names the test and its folder", {.required = true});
  o.field("description", description, "one line for people");
  o.field("recipe", recipe, "what every arm trains, relative to this file", {.required = true});
  o.field("bench", bench,
          "instead of training: a command of `heed bench` that takes a recipe, and more arguments "
          "of it: [step, --steps, \"20\"]");
  o.field("overrides", overrides, "what the test changes in the recipe, before the arm does");
  o.list("columns", columns, "what is shown of it");
}

void ComparisonArm::options(Options& o) {
  o.field("name", name, "names the arm and its folder", {.required = true});
  o.field("description", description, "one line for people");
  o.field("overrides", overrides, "what it changes in every test's recipe");
  o.field("skips", skips, "names of tests that it has no place in: a model without a cache");
}

bool ComparisonArm::takes(const ComparisonTest& test) const { return !has(skips, test.name); }

void Comparison::options(Options& o) {
  o.field("title", title, "the comparison in a line", {.required = true});
  o.field("notes", notes, "what is equal, and what a reader should know of it");
  o.field("seeds", seeds, "runs of each arm in each test, with seeds 1, 2, ...", {.min = 1});
  o.list("tests", tests, "what is trained or measured");
  o.list("arms", arms, "what is compared");
}

Comparison Comparison::only(const std::vector<std::string>& test_names,
                            const std::vector<std::string>& arm_names) const {
  Comparison some = *this;
  some.tests = picked(tests, test_names, file, "test");
  some.arms = picked(arms, arm_names, file, "arm");
  std::erase_if(some.tests, [&](const ComparisonTest& test) {
    return std::none_of(some.arms.begin(), some.arms.end(),
                        [&](const ComparisonArm& arm) { return arm.takes(test); });
  });
  std::erase_if(some.arms, [&](const ComparisonArm& arm) {
    return std::none_of(some.tests.begin(), some.tests.end(),
                        [&](const ComparisonTest& test) { return arm.takes(test); });
  });
  if (some.tests.empty()) {
    fail_request({file, 0, 0}, "there is nothing to run: the arms skip the tests");
  }
  return some;
}

Comparison load_comparison(const std::string& path) {
  const std::string text = read_file(path);
  const Config tree = parse_yaml(text, path);
  Comparison comparison = read_options<Comparison>(tree, "comparison", {});
  comparison.file = path;
  comparison.slug = fs::absolute(path).lexically_normal().parent_path().filename().string();
  comparison.sha256 = sha256(text);
  check_comparison(comparison, tree);
  return comparison;
}

ComparisonPlan plan_comparison(const Comparison& comparison, const std::string& out,
                               int64_t seeds) {
  ComparisonPlan plan;
  plan.comparison = comparison;
  plan.out = out.empty() ? "runs/" + comparison.slug : out;
  plan.seeds = seeds > 0 ? seeds : comparison.seeds;
  for (const ComparisonTest& test : comparison.tests) {
    plan.tests.push_back(plan_claim(claim_of(comparison, test), "mini",
                                    (fs::path(plan.out) / test.name).string(), plan.seeds));
  }
  return plan;
}

Config comparison_schema() {
  Config schema = describe_options<Comparison>();
  schema.set("$schema", "https://json-schema.org/draft/2020-12/schema");
  schema.set("title", "heed comparison");
  return schema;
}

}  // namespace heed::recipes
