// Every paper's folder of recipes, and every other claim's: the smoke recipe trains, each arm of
// the claim takes its first steps at that size, and the larger sizes are valid. A new folder needs
// no code here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "nn/registry.h"
#include "optim/optimizer.h"
#include "recipes/engine/claim.h"
#include "recipes/engine/papers.h"
#include "tests/recipes/runs.h"
#include "tests/recipes/scratch.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

const fs::path kRecipes = HEED_SOURCE_DIR "/recipes";

/// Folders of papers, and those of claims elsewhere; with `file`, those that have it.
std::vector<std::string> folders(const std::string& file = "") {
  std::vector<std::string> all;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(kRecipes)) {
    if (!entry.is_directory()) continue;
    const fs::path name = fs::relative(entry.path(), kRecipes);
    const bool paper = !name.has_parent_path() && name != "base" && name != "engine";
    const bool listed = paper || fs::exists(entry.path() / "claim.yaml");
    if (listed && fs::exists(entry.path() / file)) all.push_back(name.string());
  }
  std::sort(all.begin(), all.end());
  return all;
}

class PaperRecipes : public ::testing::TestWithParam<std::string> {
 protected:
  fs::path folder() const { return kRecipes / GetParam(); }
  bool has(const char* file) const { return fs::exists(folder() / file); }
};

TEST_P(PaperRecipes, TheSmokeRecipeTrains) {
  ASSERT_TRUE(has("smoke.yaml"));
  const Scratch scratch;
  Recorder recorder;
  train_file((folder() / "smoke.yaml").string(), scratch.path("run"), {}, false, &recorder);
  ASSERT_FALSE(recorder.steps.empty());
  for (const StepReport& step : recorder.steps) EXPECT_TRUE(std::isfinite(step.loss));
  ASSERT_FALSE(recorder.evals.empty());
}

class PaperClaims : public PaperRecipes {};

TEST_P(PaperClaims, EveryArmTakesSteps) {
  const Scratch scratch;
  const Claim claim = load_claim((folder() / "claim.yaml").string());
  const ClaimPlan plan = plan_claim(claim, "smoke", scratch.path("claim"), 1);
  for (const ClaimRun& run : plan.runs) {
    if (!run.bench.empty()) continue;  // measured by `heed bench`, not trained
    std::vector<std::string> overrides = run.overrides;
    overrides.insert(overrides.end(),
                     {"train.steps=2", "train.eval_every=0", "schedule={type: constant}"});
    for (const ClaimPoint& point : plan.points) {  // its measurements are recipes too
      std::vector<std::string> measured = overrides;
      measured.insert(measured.end(), point.overrides.begin(), point.overrides.end());
      make_task(load_recipe(run.recipe, measured), TaskUse::evaluate);
    }
    Recorder recorder;
    train_file(run.recipe, run.folder, overrides, false, &recorder);
    for (const StepReport& step : recorder.steps) EXPECT_TRUE(std::isfinite(step.loss));
  }
  EXPECT_GE(claim.sizes.mini.seeds, 3) << "too few runs for a verdict";
  EXPECT_FALSE(plan_claim(claim, "mini").runs.empty());
}

TEST_P(PaperRecipes, TheFolderIsWhole) {
  for (const char* file : {"README.md", "smoke.yaml", "mini.yaml"}) EXPECT_TRUE(has(file)) << file;
  for (const char* file : {"mini.yaml", "paper.yaml"}) {
    if (!has(file)) continue;
    EXPECT_EQ(request_error([&] { load_recipe((folder() / file).string()); }), "no error");
  }
  // The published model needs no data to be made: groups without a parameter stop its training.
  if (!has("paper.yaml")) return;
  const Recipe recipe = load_recipe((folder() / "paper.yaml").string());
  if (recipe.optimizer.groups.empty()) return;
  Config model = recipe.model;
  const std::string type = model.at("type").as_string();
  model.erase("type");
  const auto parameters = nn::find_module(type, "model").make(model)->named_parameters();
  for (const optim::ParameterGroup& group : recipe.optimizer.groups) {
    EXPECT_TRUE(std::any_of(parameters.begin(), parameters.end(), [&](const auto& parameter) {
      return optim::glob_match(group.pattern, parameter.name);
    })) << group.pattern;
  }
}

std::string test_name(const ::testing::TestParamInfo<std::string>& folder) {
  std::string name = folder.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Folders, PaperRecipes, ::testing::ValuesIn(folders()), test_name);
INSTANTIATE_TEST_SUITE_P(Folders, PaperClaims, ::testing::ValuesIn(folders("claim.yaml")),
                         test_name);

TEST(Papers, StateFollowsFromWhatIsThere) {
  const Scratch scratch;
  Paper paper{.slug = "some", .arxiv = {"0000.00000"}};
  EXPECT_EQ(paper_state(paper, scratch.path("none")).text(), "not begun");
  paper.arxiv = {"0000.00000", "2503.03588"};
  const PaperState cited = paper_state(paper, scratch.path("none"));
  EXPECT_EQ(cited.text(), "modules: power");
  EXPECT_EQ(cited.parts, std::vector<std::string>{"power"});
  scratch.write("some/mini.yaml", "");
  scratch.write("some/smoke.yaml", "");
  EXPECT_EQ(paper_state(paper, scratch.path("some")).text(), "recipes: smoke, mini");

  const fs::path example = kRecipes / "base/claim-example";
  for (const char* file : {"claim.yaml", "claim.result.json"})
    fs::copy_file(example / file, scratch.path("some/") + file);
  EXPECT_EQ(paper_state(paper, scratch.path("some")).text(), "confirmed");
  scratch.write("some/claim.yaml", slurp((example / "claim.yaml").string()) + "\n# changed\n");
  EXPECT_EQ(paper_state(paper, scratch.path("some")).text(), "confirmed, of an earlier claim");
}

TEST(Papers, TheListIsChecked) {
  EXPECT_EQ(load_papers((kRecipes / "papers.yaml").string()).size(), 45u);
  const Scratch scratch;
  const std::string one =
      "  - {slug: a, title: A, arxiv: [\"1\"], year: 2020, kinds: [system], summary: s}\n";
  const auto error = [&](const std::string& text) {
    const std::string file = scratch.write("papers.yaml", text);
    return request_error([&] { load_papers(file); });
  };
  EXPECT_EQ(error("papers:\n" + one), "no error");
  EXPECT_NE(error("papers:\n" + one + one).find(":3:"), std::string::npos);
  EXPECT_NE(error("papers:\n  - {slug: a, title: A, arxiv: [\"1\"], year: 2020, kinds: [idea], "
                  "summary: s}\n")
                .find("idea"),
            std::string::npos);
}

}  // namespace
}  // namespace heed::recipes
