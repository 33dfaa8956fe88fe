// What a plan says that ranks hold and send, against the parts of models that are really split and
// what their communicators count.
#include <gtest/gtest.h>

#include "autograd/tape.h"
#include "core/allocator.h"
#include "core/storage_memory.h"
#include "distributed/gathered_blocks.h"
#include "distributed/gradient_reducer.h"
#include "distributed/mesh.h"
#include "distributed/pipeline.h"
#include "distributed/sequence_parallel.h"
#include "distributed/tensor_parallel.h"
#include "distributed/world.h"
#include "nn/models/classifier.h"
#include "nn/models/encoder.h"
#include "nn/models/gpt.h"
#include "nn/models/language_model.h"
#include "recipes/engine/indexed_task.h"
#include "recipes/engine/plan/step_cost.h"
#include "recipes/engine/recipe.h"
#include "recipes/engine/shared_model.h"

namespace heed::recipes {
namespace {

Recipe gpt_recipe(int64_t context, int64_t heads, int64_t kv_heads = 0) {
  return recipe_from_config(parse_yaml(
      fmt::format("model: {{type: gpt, vocab: 96, context: {}, layers: 2, dim: 96, heads: {}, "
                  "kv_heads: {}}}\n"
                  "data: {{type: text, files: [none.txt]}}\ntrain: {{batch_size: 12}}\n",
                  context, heads, kv_heads),
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

// What a rank of the tensor axis keeps, within 10% by the allocator's count: norms' inputs of all
// tokens or, with share_norms, of its own.
void expect_kept_of_shared_matrices(const Recipe& recipe) {
  const PlannedModel model = planned_model(recipe);
  const Tensor ids = Tensor::zeros({kRows, kTokens}, DType::i64);
  Share share;
  share.mesh.tensor = world().size();
  share.rows = kRows;
  for (const bool share_norms : {false, true}) {
    for (const bool checkpointing : {false, true}) {
      nn::Gpt gpt([&] {
        nn::GptOptions options = nn::read_gpt_options(recipe.model);
        options.checkpointing = checkpointing;
        return options;
      }());
      gpt.initialise(1);
      split_tensors(gpt, world(), split_plan(gpt), share_norms);
      // The loss forms the gradient of its weight, a part of the vocabulary, at once.
      const int64_t head = model.outputs / world().size() * model.dim * 4;
      const int64_t measured = kept_bytes([&] { return gpt.loss(ids, ids); }) - head;
      share.share_norms = share_norms;
      share.checkpointing = checkpointing;
      const int64_t planned = rank_memory(model, share, 0).activations;
      EXPECT_NEAR(static_cast<double>(planned) / static_cast<double>(measured), 1.0, 0.1)
          << share_norms << checkpointing;
    }
  }
}

TEST(PlanRanks, KeepWhatThePlanSaysOfSharedMatrices) {
  expect_kept_of_shared_matrices(gpt_recipe(kTokens, 12));
  expect_kept_of_shared_matrices(gpt_recipe(kTokens, 12, 1));  // one key head together
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

// Vocabularies and hidden features that share out unevenly; positions and heads of all kinds.
std::vector<Recipe> small_recipes() {
  const std::string text = "data: {type: text, files: [none.txt]}\n";
  const std::string masked = "task: {type: masked_language_modeling}\n" + text;
  const std::string shape = "vocab: 97, context: 24, layers: 5, dim: 24, heads: 12";
  const std::string classes =
      "task: {type: classification}\ndata: {type: cifar, train: [none.bin]}\n";
  std::vector<Recipe> all;
  for (const std::string& yaml : {
           text + "model: {type: gpt, " + shape + "}\n",
           text + "model: {type: gpt, " + shape +
               ", tied: false, mlp: swiglu, hidden: 50, norm: rms_norm, position: rotary, "
               "qk_norm: true, attention: {type: softmax, sink: true}}\n",
           // Three and four ranks have the features of a key head together, unevenly.
           text + "model: {type: gpt, " + shape + ", head_dim: 10, kv_heads: 1}\n",
           text + "model: {type: gpt, " + shape + ", hidden: 50, bias: false, head_dim: 4}\n",
           masked + "model: {type: encoder, mlm: true, " + shape + ", hidden: 50}\n",
           masked + "model: {type: encoder, mlm: true, " + shape +
               ", attention: {type: linformer, tokens: 24, projected: 8}}\n",
           classes + "model: {type: vit, height: 24, width: 16, channels: 3, classes: 10, "
                     "patch: 4, layers: 5, dim: 24, heads: 12, pool: mean, layer_scale: 0.1}\n",
       }) {
    all.push_back(recipe_from_config(parse_yaml(yaml, "test.yaml")));
  }
  return all;
}

std::unique_ptr<nn::Module> module_of(const Recipe& recipe) {
  const bool gpt = recipe.model.at("type").as_string() == "gpt";
  std::unique_ptr<nn::Module> module;
  if (gpt) {
    module = nn::make_language_model(recipe.model);
  } else {
    module = nn::make_classifier(recipe.model);
  }
  module->initialise(1);
  return module;
}

/// The largest part of a model that a rank along the tensor axis holds.
int64_t largest_part(nn::Module& module, Mesh& mesh) {
  int64_t bytes = 0, most = 0;
  for (const auto& named : module.named_tensors()) bytes += named.tensor->bytes();
  for (const std::string& each : mesh.tensor().all_gather_text(std::to_string(bytes))) {
    most = std::max<int64_t>(most, std::stoll(each));
  }
  return most;
}

// The bytes of a model's parameters after it was split as for training, exactly.
TEST(PlanRanks, HoldThePartsOfParametersThatThePlanSays) {
  const int64_t n = world().size();
  std::vector<MeshShape> shapes = {{.tensor = n}, {.sequence = n}, {.pipeline = n}};
  if (n == 4) {
    shapes.push_back({.pipeline = 2, .tensor = 2});
    shapes.push_back({.sequence = 2, .tensor = 2});
    shapes.push_back({.pipeline = 2, .sequence = 2});
  }
  for (const MeshShape& shape : shapes) {
    Mesh mesh(world(), shape);
    for (const Recipe& recipe : small_recipes()) {
      const PlannedModel planned = planned_model(recipe);
      ASSERT_TRUE(planned.known);
      Share share;
      share.mesh = shape;
      share.layout = sequence_layout(recipe.parallel, planned.causal);
      ASSERT_EQ(refusal(planned, share), "");

      const auto module = module_of(recipe);
      if (shape.tensor > 1) split_tensors(*module, mesh.tensor(), split_plan(*module));
      if (shape.sequence > 1) {
        share_sequences(*module, std::make_shared<SequenceParallel>(mesh.sequence(), share.layout));
      }
      const Pipeline pipeline(mesh.pipeline(), *module);
      EXPECT_EQ(rank_memory(planned, share, mesh.place().pipeline).parameters,
                largest_part(*module, mesh))
          << shape.to_string() << " " << recipe.model.to_json();
    }
  }
}

// Under ZeRO-3 what belongs to no block is whole through a step, beside the rank's share of it. A
// plan rounds up by parameter where shares do by bucket.
TEST(PlanRanks, HoldWholeWhatNoBlockGathers) {
  const int64_t n = world().size();
  Mesh mesh(world(), {.data = n});
  const auto gathers = mesh.data().split(0, mesh.data().rank());
  for (const Recipe& recipe : small_recipes()) {
    const auto module = module_of(recipe);
    const BlockUnits units(*module);
    std::vector<ShardLayout::Parameter> parameters;
    for (const auto& [name, tensor] : nn::trained_tensors(*module)) {
      parameters.push_back({.name = name, .tensor = tensor, .unit = units.of(tensor)});
    }
    ShardedParameters sharded(Sharding::parameters, parameters, mesh, *gathers);
    sharded.require(0);  // as a step does before its forward pass
    int64_t shares = 0, whole = 0;
    for (const auto& bucket : sharded.layout().buckets()) shares += bucket.chunk * 4;
    for (const auto& parameter : parameters) {
      if (parameter.tensor.storage()->data != nullptr) whole += parameter.tensor.bytes();
    }
    Share share;
    share.mesh.data = n;
    share.rows = n;
    share.sharding = Sharding::parameters;
    const int64_t planned = rank_memory(planned_model(recipe), share, 0).parameters;
    EXPECT_GE(planned, shares + whole) << recipe.model.to_json();
    EXPECT_LE(planned, shares + whole + 4 * std::ssize(parameters)) << recipe.model.to_json();
  }
}

}  // namespace
}  // namespace heed::recipes
