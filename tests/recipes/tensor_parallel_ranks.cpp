// Training where ranks share the matrices of a model, alone and with shared batches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/recipes/rank_runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

// SGD where there are biases: those of keys have gradients of rounding alone, which Adam would
// scale up.
const char* kGpt2 = R"(
name: gpt2
seed: 3
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: bytes}}
model: {type: gpt, layers: 2, dim: 24, heads: 12, context: 8, mlp: gelu_tanh, dropout: 0.1,
        mlp_dropout: 0.1}
train: {steps: 12, batch_size: 12, accumulation: 2, clip: 1.0, log_every: 1, eval_every: 6,
        ema: 0.9}
optimizer: {type: sgd, lr: 0.3, momentum: 0.9}
evaluation: {batch_size: 12}
)";

const char* kLlama = R"(
name: llama
seed: 4
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: chars}}
model: {type: gpt, layers: 2, dim: 24, heads: 24, kv_heads: 12, head_dim: 4, context: 8,
        mlp: swiglu, hidden: 40, norm: rms_norm, position: rotary, bias: false, tied: false,
        dropout: 0.1, checkpointing: true}
train: {steps: 12, batch_size: 12, clip: 1.0, log_every: 1, eval_every: 6}
optimizer: {type: adamw, lr: 1e-2, weight_decay: 0.1}
evaluation: {batch_size: 12}
)";

const char* kMaskedEncoder = R"(
name: encoder
seed: 5
task: {type: masked_language_modeling}
data: {type: text, files: [text.txt], validation: 0.2, tokenizer: {type: chars}}
model: {type: encoder, layers: 2, dim: 24, heads: 12, context: 16, dropout: 0.1, pooler: false}
train: {steps: 12, batch_size: 12, accumulation: 2, clip: 1.0, log_every: 1, eval_every: 6}
optimizer: {type: sgd, lr: 0.3, momentum: 0.9}
evaluation: {batch_size: 12}
)";

const char* kImages = R"(
name: vit
seed: 7
task: {type: classification, smoothing: 0.1}
data: {type: procedural-images, content: gratings, size: 16, train: 24, validation: 48, test: 48}
model: {type: vit, layers: 2, dim: 24, heads: 12, patch: 4, dropout: 0.1, attention_dropout: 0.1,
        layer_scale: 0.5}
train: {steps: 12, batch_size: 24, clip: 1.0, log_every: 1, eval_every: 6}
optimizer: {type: sgd, lr: 0.2, momentum: 0.9}
evaluation: {batch_size: 24}
)";

// DiNAT in small: dilated layers, biases by head, padded maps.
const char* kPyramid = R"(model={
        type: pyramid, depths: [2, 1], dims: [24, 48], heads: [12, 12], patch: 2, stem: convs,
        downsample: conv, drop_path: 0.1, dropout: 0.1,
        attentions: [{attention: {type: neighborhood, window: 3, relative: true, fit: pad}},
                     {stages: [1], attention: {type: neighborhood, window: 5, dilation: 2,
                                               relative: true, fit: pad}}]})";

// VAN in small: ranks share channels; batch norms between.
const char* kVan = R"(model={
        type: pyramid, depths: [1, 1], dims: [12, 24], heads: [1, 1], mlp_ratios: [2],
        mlp_conv: hidden, patch: 2, stem: overlapping, downsample: conv, embed_norm: batch_norm,
        norm: batch_norm, stage_norms: true, layer_scale: 0.5, drop_path: 0.1, dropout: 0.1,
        init: fan_out, attention: {type: large_kernel}})";

const char* kDensePyramid = R"(
name: dense
seed: 7
task: {type: segmentation}
data: {type: shape-scenes, size: 16, train: 24, validation: 24}
model: {type: dense_pyramid, depths: [1, 1], dims: [24, 48], heads: [12, 12], patch: 2, stem: convs,
        downsample: conv, head_dim: 16, attention: {type: neighborhood, window: 3, relative: true}}
train: {steps: 12, batch_size: 12, clip: 1.0, log_every: 1, eval_every: 6}
optimizer: {type: sgd, lr: 0.2, momentum: 0.9}
evaluation: {batch_size: 24}
)";

/// All ranks share the matrices; of four also two and two, with shared batches.
std::vector<std::string> meshes() {
  std::vector<std::string> all = {fmt::format("parallel.tensor={}", world().size())};
  if (world().size() == 4) all.push_back("parallel.tensor=2");
  return all;
}

void expect_meshes_like_one_rank(const char* recipe, const std::vector<std::string>& overrides = {},
                                 const std::vector<std::string>& further = {}) {
  for (const std::string& mesh : meshes()) {
    SCOPED_TRACE(mesh);
    const SharedScratch folder;
    std::vector<std::string> all = further;
    all.push_back(mesh);
    expect_like_one_rank(folder, write_recipe(folder, recipe), overrides, all);
  }
}

TEST(TensorParallelRuns, DecoderAsGpt2EqualsOneRank) { expect_meshes_like_one_rank(kGpt2); }
TEST(TensorParallelRuns, DecoderAsLlamaEqualsOneRank) { expect_meshes_like_one_rank(kLlama); }
TEST(TensorParallelRuns, EncoderEqualsOneRank) { expect_meshes_like_one_rank(kMaskedEncoder); }
TEST(TensorParallelRuns, VisionTransformerEqualsOneRank) { expect_meshes_like_one_rank(kImages); }

TEST(TensorParallelRuns, PyramidsEqualOneRank) {
  expect_meshes_like_one_rank(kImages, {kPyramid});
  expect_meshes_like_one_rank(kImages, {kVan});
  expect_meshes_like_one_rank(kDensePyramid);
}

TEST(TensorParallelRuns, UpdatesOfAFrozenModelEqualOneRank) {
  expect_meshes_like_one_rank(kLlama, {"lora.rank=4", "lora.dropout=0.1", "lora.also=[norm,head]"});
}

TEST(TensorParallelRuns, RanksThatHaveKeyHeadsTogetherEqualOneRank) {
  expect_meshes_like_one_rank(kLlama, {"model.kv_heads=1"});
}

TEST(TensorParallelRuns, SharedNormsEqualOneRank) {
  expect_meshes_like_one_rank(kLlama, {"model.context=12", "model.kv_heads=1"},
                              {"parallel.share_norms=true"});
  expect_meshes_like_one_rank(kGpt2, {"model.context=12"}, {"parallel.share_norms=true"});
  expect_meshes_like_one_rank(kMaskedEncoder, {"model.context=12"}, {"parallel.share_norms=true"});
}

// Every rank of a group takes part, rank 0 tells.
TEST(TensorParallelRuns, SamplesAreThoseOfOneRank) {
  const std::vector<std::string> overrides = {"samples.every=6", "samples.count=2",
                                              "samples.max_tokens=20", "samples.prompt=line",
                                              "samples.temperature=0"};
  for (const std::string& mesh : meshes()) {
    const SharedScratch folder;
    const std::string recipe = write_recipe(folder, kLlama);
    Recorder one, all;
    const auto self = self_communicator();
    if (world().rank() == 0) {
      train_ranks(recipe, folder.path("one"), overrides, one, *self);
    }
    std::vector<std::string> of_all = overrides;
    of_all.push_back(mesh);
    train_ranks(recipe, folder.path("all"), of_all, all, world());
    ASSERT_EQ(all.samples.size(), world().rank() == 0 ? 4u : 0u);
    for (size_t i = 0; i < all.samples.size(); ++i) {
      EXPECT_EQ(all.samples[i].text, one.samples[i].text);
    }
  }
}

TEST(TensorParallelRuns, ResumesUnderTheSameAndAnotherMesh) {
  expect_resumes(kLlama, {"train.ema=0.9"}, {meshes().back()},
                 {fmt::format("parallel.data={}", world().size())});
}

TEST(TensorParallelRuns, ShardedPartsResumeToo) {
  expect_resumes(
      kLlama, {"train.ema=0.9", "model.kv_heads=1"},
      {fmt::format("parallel.tensor={}", part_of_the_ranks()), "parallel.shard=gradients"});
}

TEST(TensorParallelRuns, TokensThatDoNotShareOutAreRefusedBeforeAnythingIsWritten) {
  const SharedScratch folder;
  TrainObserver silent;
  const std::vector<std::string> wrong = {"parallel.share_norms=true", "model.context=13",
                                          fmt::format("parallel.tensor={}", world().size())};
  const std::string recipe = write_recipe(folder, kGpt2);
  EXPECT_THAT(
      request_error([&] { train_ranks(recipe, folder.path("run"), wrong, silent, world()); }),
      HasSubstr("cannot share 13 tokens"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("run")));
}

TEST(TensorParallelRuns, WrongRequestsAreRefusedOnEveryRank) {
  const SharedScratch folder;
  const std::string recipe = write_recipe(folder, kGpt2);
  TrainObserver silent;
  const std::string mesh = meshes().front();
  const auto error = [&](std::vector<std::string> overrides) {
    overrides.push_back(mesh);
    return request_error(
        [&] { train_ranks(recipe, folder.path("run"), overrides, silent, world()); });
  };
  EXPECT_THAT(error({"model.heads=1"}),
              HasSubstr(fmt::format("parallel.tensor: blocks.0.attn: {} ranks cannot share 1 heads "
                                    "with 1 key and value heads",
                                    world().size())));
  EXPECT_THAT(error({"optimizer.type=lars"}),
              HasSubstr("optimizer.type: lars needs whole tensors"));
  EXPECT_THAT(error({"optimizer.type=adafactor"}),
              HasSubstr("optimizer.type: adafactor needs whole tensors"));
  EXPECT_THAT(error({"train.adaptive_clip=0.01"}),
              HasSubstr("train.adaptive_clip needs whole tensors"));
  EXPECT_FALSE(std::filesystem::exists(folder.path("run")));
  EXPECT_THAT(request_error([&] {
                train_ranks(HEED_SOURCE_DIR "/recipes/base/smoke-classification.yaml",
                            folder.path("run"), {mesh}, silent, world());
              }),
              HasSubstr("none of these"));
}

}  // namespace
}  // namespace heed::recipes
