// Every registered attention mechanism trains in every host model that it is said to suit, from the
// recipe alone; and what it does not suit, it refuses.
#include <gtest/gtest.h>

#include <cmath>

#include "nn/attention/registry.h"
#include "tests/recipes/runs.h"
#include "tests/recipes/tiny_images.h"

namespace heed::recipes {
namespace {

struct Host {
  const char* name;
  const char* model;
  bool causal;
};

const Host kHosts[] = {
    {"gpt", "{type: gpt, layers: 2, dim: 16, heads: 2, context: 8, attention: ", true},
    {"vit", "{type: vit, layers: 2, dim: 16, heads: 2, patch: 3, attention: ", false},
    {"vit_mean",
     "{type: vit, layers: 2, dim: 16, heads: 2, patch: 3, pool: mean, attention: ", false},
    {"pyramid",
     "{type: pyramid, depths: [2, 1], dims: [8, 16], heads: [1, 2], patch: 2, attention: ", false},
};

bool suits(const nn::AttentionEntry& entry, const Host& host) {
  return host.causal ? entry.causal : entry.bidirectional;
}

/// The slots to try: the mechanism's defaults, and with its relative positions if it has any.
std::vector<std::string> slots(const nn::AttentionEntry& entry) {
  std::vector<std::string> all = {fmt::format("{{type: {}}}", entry.name)};
  const Config schema = entry.schema();
  const Config* properties = schema.find("properties");
  const Config* relative = properties == nullptr ? nullptr : properties->find("relative");
  if (relative != nullptr) {  // a switch, or how far
    const bool is_switch = relative->at("type").as_string() == "boolean";
    all.push_back(fmt::format("{{type: {}, relative: {}}}", entry.name, is_switch ? "true" : "3"));
  }
  return all;
}

struct Trial {
  Host host;
  std::string slot, name;
};
void PrintTo(const Trial& trial, std::ostream* out) { *out << trial.name; }

std::vector<Trial> trials(bool suited) {
  std::vector<Trial> all;
  for (const Host& host : kHosts) {
    for (const nn::AttentionEntry& entry : nn::attention_registry()) {
      if (suits(entry, host) != suited) continue;
      int variant = 0;
      for (const std::string& slot : slots(entry))
        all.push_back({host, slot, fmt::format("{}_{}_{}", host.name, entry.name, variant++)});
    }
  }
  return all;
}

std::string write_recipe(const Scratch& folder, const Host& host) {
  return host.causal ? write_tiny(folder) : write_tiny_images(folder);
}

std::vector<std::string> overrides(const Trial& trial, int64_t steps) {
  return {fmt::format("model={}{}}}", trial.host.model, trial.slot),
          fmt::format("train.steps={}", steps),
          "train.checkpoint_every=1",
          "train.eval_every=2",
          "evaluation.baselines=[]",
          "schedule={type: constant}"};
}

class AttentionHosts : public ::testing::TestWithParam<Trial> {};

TEST_P(AttentionHosts, TrainsFromTheRecipeAlone) {
  const Scratch folder;
  const std::string recipe = write_recipe(folder, GetParam().host);
  Recorder recorder;
  train_file(recipe, folder.path("two"), overrides(GetParam(), 2), false, &recorder);
  ASSERT_EQ(recorder.steps.size(), 2u);
  for (const StepReport& step : recorder.steps) EXPECT_TRUE(std::isfinite(step.loss));
  // The second step moved every tensor of the mechanism, and no value is lost.
  train_file(recipe, folder.path("one"), overrides(GetParam(), 1));
  const auto model = [&](const char* run) {
    return read_checkpoint(find_checkpoint(folder.path(run)).path).model;
  };
  const NamedTensors one = model("one"), two = model("two");
  ASSERT_EQ(one.size(), two.size());
  int64_t moved = 0;
  for (size_t i = 0; i < one.size(); ++i) {
    for (const float value : two[i].second.to_vector<float>()) ASSERT_TRUE(std::isfinite(value));
    if (one[i].first.find("attn.") == std::string::npos) continue;
    EXPECT_FALSE(same_bits(one[i].second, two[i].second)) << one[i].first;
    ++moved;
  }
  EXPECT_GT(moved, 0);
}

INSTANTIATE_TEST_SUITE_P(Registry, AttentionHosts, ::testing::ValuesIn(trials(true)),
                         [](const auto& trial) { return trial.param.name; });

TEST(AttentionHostsErrors, UnsuitedMechanismsSayWhy) {
  for (const Trial& trial : trials(false)) {
    const Scratch folder;
    const std::string message = build_error(write_recipe(folder, trial.host), overrides(trial, 1));
    EXPECT_NE(message.find("does not suit a"), std::string::npos) << trial.name << ": " << message;
  }
}

}  // namespace
}  // namespace heed::recipes
