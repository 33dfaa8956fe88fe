// What a plan says that ranks send, against what their communicators count.
#include <gtest/gtest.h>

#include "autograd/tape.h"
#include "core/allocator.h"
#include "distributed/gradient_reducer.h"
#include "distributed/mesh.h"
#include "distributed/sequence_parallel.h"
#include "distributed/world.h"
#include "nn/models/encoder.h"
#include "nn/models/gpt.h"
#include "recipes/engine/indexed_task.h"
#include "recipes/engine/plan/step_cost.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {
namespace {

Recipe gpt_recipe(int64_t context, int64_t heads) {
  return recipe_from_config(parse_yaml(
      fmt::format("model: {{type: gpt, vocab: 96, context: {}, layers: 2, dim: 96, heads: {}}}\n"
                  "data: {{type: text, files: [none.txt]}}\ntrain: {{batch_size: 12}}\n",
                  context, heads),
      "test.yaml"));
}

TEST(PlanRanks, SendTheGradientsThatThePlanSays) {
  Communicator& ranks = world();
  const Recipe recipe = gpt_recipe(24, 4);
  nn::Gpt gpt(nn::read_gpt_options(recipe.model));
  gpt.initialise(1);
  std::vector<Tensor> parameters;
  for (const auto& [name, tensor] : nn::trained_tensors(gpt)) parameters.push_back(tensor);
  const auto data = ranks.split(0, ranks.rank());
  GradientReducer reducer(*data, parameters);
  const Tensor ids = Tensor::zeros({12 / ranks.size(), 24}, DType::i64);
  reducer.begin();
  backward(gpt.loss(ids, ids));
  reducer.finish();

  Share share;
  share.mesh.data = ranks.size();
  share.rows = 12;
  const double planned = step_traffic(planned_model(recipe), share).data.bytes;
  // Beside each gradient travels how many ranks have one, a number a parameter.
  const double counts = sent_by_all_reduce(4.0 * static_cast<double>(parameters.size()),
                                           static_cast<double>(ranks.size()));
  EXPECT_NEAR(static_cast<double>(data->bytes_sent()), planned + counts, 8.0);
}

/// What a rank keeps of a forward pass and sends in it and its backward pass, where all ranks share
/// the sequences.
struct Measured {
  int64_t kept = 0, most = 0, sent = 0;
};

Measured measure(nn::Module& module, TokenLayout layout, SequenceMethod method, int64_t head,
                 const std::function<Tensor()>& loss) {
  Communicator& ranks = world();
  module.initialise(1);
  share_tokens(module, std::make_shared<SequenceParallel>(ranks, layout, method));
  const int64_t sent = ranks.bytes_sent();
  Tensor result;
  const int64_t before = allocator::stats().in_use_bytes;
  const int64_t kept = kept_bytes([&] { return result = loss(); });
  allocator::reset_peak();
  backward(result);
  return {kept - head, allocator::stats().peak_bytes - before, ranks.bytes_sent() - sent};
}

/// Within 10% of what is kept, and of the most that a step holds, by the allocator's count, and
/// within 1% of what is sent, by the communicator's (which includes some numbers for the loss).
void expect_as_planned(const PlannedModel& model, SequenceMethod method, int64_t rows,
                       const Measured& measured) {
  Share share;
  share.mesh.sequence = world().size();
  share.rows = rows;
  share.method = method;
  const RankMemory memory = rank_memory(model, share, 0);
  const auto kept = static_cast<double>(memory.activations);
  // Of the step without what is there before it, and without an optimiser or a reducer.
  const auto most = static_cast<double>(memory.total - memory.parameters - memory.optimizer -
                                        memory.communication);
  const double sent = step_traffic(model, share).sequence.bytes;
  EXPECT_NEAR(kept / static_cast<double>(measured.kept), 1.0, 0.1) << name_of(method);
  EXPECT_NEAR(most / static_cast<double>(measured.most), 1.0, 0.1) << name_of(method);
  EXPECT_NEAR(sent / static_cast<double>(measured.sent), 1.0, 0.01) << name_of(method);
}

constexpr int64_t kRows = 2, kTokens = 768;

TEST(PlanRanks, KeepAndSendWhatThePlanSaysOfASharedSequence) {
  const Recipe recipe = gpt_recipe(kTokens, 12);
  const PlannedModel model = planned_model(recipe);
  const int64_t head = model.outputs * model.dim * 4;  // a gradient that the loss forms at once
  for (const SequenceMethod method :
       {SequenceMethod::ring, SequenceMethod::rsa, SequenceMethod::heads}) {
    nn::Gpt gpt(nn::read_gpt_options(recipe.model));
    const Tensor ids = Tensor::zeros({kRows, kTokens}, DType::i64);
    expect_as_planned(model, method, kRows, measure(gpt, TokenLayout::zigzag, method, head, [&] {
                        return gpt.loss(ids, ids);
                      }));
  }
}

// A rank's rows of scores are all that RSA adds: a share of L^2.
TEST(PlanRanks, KeepAShareOfTheScoresUnderRsa) {
  const PlannedModel model = planned_model(gpt_recipe(kTokens, 12));
  Share share;
  share.mesh.sequence = world().size();
  share.rows = kRows;
  share.method = SequenceMethod::rsa;
  EXPECT_EQ(rank_memory(model, share, 0).attention,
            2 * kRows * 12 * kTokens * kTokens / world().size() * 4);
}

TEST(PlanRanks, KeepAndSendWhatThePlanSaysOfTheLinformer) {
  const Recipe recipe = recipe_from_config(parse_yaml(
      fmt::format("task: {{type: masked_language_modeling}}\n"
                  "model: {{type: encoder, vocab: 96, context: {0}, layers: 2, dim: 96, heads: 12, "
                  "mlm: true, attention: {{type: linformer, tokens: {0}, projected: 64}}}}\n"
                  "data: {{type: text, files: [none.txt]}}\n",
                  kTokens),
      "test.yaml"));
  const PlannedModel model = planned_model(recipe);
  ASSERT_TRUE(model.known);
  nn::Encoder encoder(nn::read_encoder_options(recipe.model));
  const Tensor ids = Tensor::zeros({kRows, kTokens}, DType::i64);
  const int64_t head = model.outputs * (model.dim + 1) * 4;
  expect_as_planned(model, SequenceMethod::ring, kRows,
                    measure(encoder, TokenLayout::contiguous, SequenceMethod::ring, head,
                            [&] { return encoder.mlm_loss(ids, ids); }));
}

}  // namespace
}  // namespace heed::recipes
