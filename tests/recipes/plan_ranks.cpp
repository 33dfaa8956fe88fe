// What a plan says that ranks send, against what their communicators count.
#include <gtest/gtest.h>

#include "autograd/tape.h"
#include "distributed/gradient_reducer.h"
#include "distributed/mesh.h"
#include "distributed/sequence_parallel.h"
#include "distributed/world.h"
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

// What a rank keeps of a sequence that all share, by the allocator's count, within 10%: a share of
// everything, and under RSA its rows of scores.
TEST(PlanRanks, KeepTheActivationsThatThePlanSays) {
  Communicator& ranks = world();
  const Recipe recipe = gpt_recipe(768, 12);
  const PlannedModel model = planned_model(recipe);
  for (const SequenceMethod method :
       {SequenceMethod::ring, SequenceMethod::rsa, SequenceMethod::heads}) {
    nn::Gpt gpt(nn::read_gpt_options(recipe.model));
    gpt.initialise(1);
    share_tokens(gpt, std::make_shared<SequenceParallel>(ranks, TokenLayout::zigzag, method));
    const Tensor ids = Tensor::zeros({2, 768}, DType::i64);
    const int64_t head = model.outputs * model.dim * 4;  // a gradient that the loss forms at once
    const int64_t measured = kept_bytes([&] { return gpt.loss(ids, ids); }) - head;

    Share share;
    share.mesh.sequence = ranks.size();
    share.rows = 2;
    share.method = method;
    const RankMemory memory = rank_memory(model, share, 0);
    EXPECT_NEAR(static_cast<double>(memory.activations) / static_cast<double>(measured), 1.0, 0.1)
        << name_of(method) << ": " << memory.activations << " planned, " << measured;
    if (method == SequenceMethod::rsa) {
      EXPECT_EQ(memory.attention, 2 * 2 * 12 * 768 * 768 / ranks.size() * 4);
    }
  }
}

}  // namespace
}  // namespace heed::recipes
