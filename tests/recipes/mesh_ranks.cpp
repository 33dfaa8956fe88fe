// Every mesh of up to 4 ranks against one rank: gpt, encoder and vit.
#include <gtest/gtest.h>

#include <functional>

#include "tests/recipes/rank_runs.h"

namespace heed::recipes {
namespace {

struct Shape4 {
  int64_t data, pipeline, sequence, tensor;
};

/// All ways to give `ranks` ranks to the four axes.
std::vector<Shape4> meshes(int64_t ranks) {
  std::vector<Shape4> all;
  for (int64_t data = 1; data <= ranks; ++data) {
    for (int64_t pipeline = 1; pipeline <= ranks; ++pipeline) {
      for (int64_t sequence = 1; sequence <= ranks; ++sequence) {
        for (int64_t tensor = 1; tensor <= ranks; ++tensor) {
          if (data * pipeline * sequence * tensor == ranks) {
            all.push_back({data, pipeline, sequence, tensor});
          }
        }
      }
    }
  }
  return all;
}

/// Calls fn(overrides of the mesh) for every mesh of those asked for, and every sharding where it
/// has a data axis.
template <class Fn>
void for_meshes(
    const Fn& fn,
    const std::function<bool(const Shape4&)>& wanted = [](const Shape4&) { return true; }) {
  for (const Shape4& mesh : meshes(world().size())) {
    if (!wanted(mesh)) continue;
    for (const char* shard : {"none", "optimizer", "gradients", "parameters"}) {
      if (mesh.data == 1 && std::string(shard) != "none") continue;
      const std::vector<std::string> overrides = {
          fmt::format("parallel.data={}", mesh.data),
          fmt::format("parallel.pipeline={}", mesh.pipeline),
          fmt::format("parallel.sequence={}", mesh.sequence),
          fmt::format("parallel.tensor={}", mesh.tensor), fmt::format("parallel.shard={}", shard)};
      SCOPED_TRACE(fmt::format("{}", fmt::join(overrides, " ")));
      fn(overrides);
    }
  }
}

// 24 tokens, 12 heads and 4 blocks share out among 2, 3 and 4 ranks.
TEST(Mesh4, DecoderEqualsOneRank) {
  for_meshes([](const std::vector<std::string>& mesh) {
    const SharedScratch folder;
    expect_like_one_rank(folder, write_gpt(folder),
                         {"model.layers=4", "model.dim=24", "model.heads=12", "model.context=24",
                          "model.dropout=0.1", "model.attention_dropout=0.1",
                          "model.position=rotary", "train.steps=6", "train.eval_every=3",
                          "train.ema=0.9", "samples.every=6", "samples.max_tokens=3"},
                         mesh);
  });
}

// Ranks of the tensor axis have one key head together.
TEST(Mesh4, DecoderWithOneKeyHeadEqualsOneRank) {
  for_meshes(
      [](const std::vector<std::string>& mesh) {
        const SharedScratch folder;
        expect_like_one_rank(
            folder, write_gpt(folder),
            {"model.layers=4", "model.dim=24", "model.heads=12", "model.kv_heads=1",
             "model.head_dim=6", "model.context=24", "model.attention_dropout=0.1",
             "model.position=rotary", "train.steps=6", "train.eval_every=3", "train.ema=0.9",
             "samples.every=6", "samples.max_tokens=3"},
            mesh);
      },
      [](const Shape4& mesh) { return mesh.tensor > 1; });
}

TEST(Mesh4, EncoderEqualsOneRank) {
  for_meshes([](const std::vector<std::string>& mesh) {
    const SharedScratch folder;
    expect_like_one_rank(folder, write_recipe(folder, kEncoder),
                         {"model.layers=4", "model.dim=24", "model.heads=12", "model.context=24",
                          "model.attention_dropout=0.1", "train.steps=6", "train.eval_every=3"},
                         mesh);
  });
}

TEST(Mesh4, VisionTransformerEqualsOneRank) {
  for_meshes([](const std::vector<std::string>& mesh) {
    const SharedScratch folder;
    expect_like_one_rank(folder, write_recipe(folder, kVit),
                         {"data.size=24", "model.layers=4", "model.dim=24", "model.heads=12",
                          "model.pool=mean", "train.steps=6", "train.eval_every=3"},
                         mesh);
  });
}

}  // namespace
}  // namespace heed::recipes
