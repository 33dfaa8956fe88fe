// A plan against what small models really hold, and what it says of large ones.
#include "recipes/engine/plan/plan.h"

#include <gmock/gmock.h>

#include <fstream>
#include <string>

#include "autograd/tape.h"
#include "core/allocator.h"
#include "distributed/shard_layout.h"
#include "nn/models/encoder.h"
#include "nn/models/gpt.h"
#include "nn/models/vit.h"
#include "optim/optimizer.h"
#include "recipes/engine/indexed_task.h"

namespace heed::recipes {
namespace {

using ::testing::HasSubstr;

Recipe recipe_of(const std::string& yaml) {
  return recipe_from_config(parse_yaml(yaml, "test.yaml"));
}

const std::string kText = "data: {type: text, files: [none.txt]}\n";

Recipe gpt_recipe(const std::string& model = "", const std::string& rest = "") {
  const bool own = model.find("layers") != std::string::npos;
  return recipe_of("model: {type: gpt, vocab: 512" +
                   std::string(own ? "" : ", context: 128, layers: 3, dim: 128, heads: 4") + model +
                   "}\n" + kText + rest);
}

Recipe encoder_recipe(const std::string& model = "", const std::string& rest = "") {
  return recipe_of(
      "task: {type: masked_language_modeling}\n"
      "model: {type: encoder, vocab: 512, context: 128, layers: 3, dim: 128, heads: 4" +
      model + "}\n" + kText + rest);
}

Recipe vit_recipe(const std::string& model = "", const std::string& rest = "") {
  return recipe_of(
      "task: {type: classification}\n"
      "model: {type: vit, height: 32, width: 32, channels: 3, classes: 10, patch: 4, layers: 3, "
      "dim: 128, heads: 4" +
      model + "}\ndata: {type: cifar, train: [none.bin]}\n" + rest);
}

Share one_rank(const PlannedModel& model, int64_t rows) {
  Share share;
  share.rows = rows;
  share.checkpointing = model.checkpointing;
  return share;
}

/// A model with the loss that a recipe trains it by.
struct Made {
  std::unique_ptr<nn::Module> module;
  std::function<Tensor(int64_t rows)> loss;
};

Made make(const Recipe& recipe) {
  const std::string type = recipe.model.at("type").as_string();
  Made made;
  if (type == "gpt") {
    auto model = std::make_unique<nn::Gpt>(nn::read_gpt_options(recipe.model));
    made.loss = [model = model.get()](int64_t rows) {
      const Tensor ids = Tensor::zeros({rows, 128}, DType::i64);
      return model->loss(ids, ids);
    };
    made.module = std::move(model);
  } else if (type == "encoder") {
    Config config = recipe.model;
    config.set("mlm", true);
    auto model = std::make_unique<nn::Encoder>(nn::read_encoder_options(config));
    made.loss = [model = model.get()](int64_t rows) {
      const Tensor ids = Tensor::zeros({rows, 128}, DType::i64);
      return model->mlm_loss(ids, ids);
    };
    made.module = std::move(model);
  } else {
    auto model = std::make_unique<nn::Vit>(nn::read_vit_options(recipe.model));
    made.loss = [model = model.get()](int64_t rows) {
      return model->forward(Tensor::zeros({rows, 32, 32, 3}));
    };
    made.module = std::move(model);
  }
  made.module->initialise(1);
  return made;
}

std::vector<Recipe> recipes() {
  std::vector<Recipe> all = {
      gpt_recipe(),
      gpt_recipe(", position: rotary, mlp: swiglu, norm: rms_norm, bias: false, kv_heads: 2"),
      gpt_recipe(", position: rotary, qk_norm: true, tied: false"),
      gpt_recipe(", dropout: 0.1"),
      gpt_recipe(", checkpointing: true"),
      encoder_recipe(", dropout: 0.0, attention_dropout: 0.0"),
      encoder_recipe(", norm_first: true, pooler: false, mlp: swiglu"),
      encoder_recipe(", checkpointing: true"),
      encoder_recipe(", attention: {type: linformer, tokens: 128, projected: 32}"),
      vit_recipe(),
      vit_recipe(", pool: mean, layer_scale: 0.1, drop_path: 0.1"),
      vit_recipe(", checkpointing: true"),
  };
  return all;
}

// Every tensor but those of the activations, for each optimiser.
TEST(Plan, HoldsTheBytesThatASmallModelHolds) {
  for (const Recipe& recipe : recipes()) {
    const PlannedModel model = planned_model(recipe);
    ASSERT_TRUE(model.known);
    const Made made = make(recipe);
    EXPECT_EQ(model.parameter_count(), made.module->parameter_count());
    int64_t parameters = 0, gradients = 0;
    for (const auto& named : made.module->named_tensors()) {
      parameters += named.tensor->bytes();
      if (named.trained) gradients += named.tensor->bytes();
    }
    for (const char* optimizer : {"{type: adamw}", "{type: sgd}", "{type: sgd, momentum: 0.9}",
                                  "{type: adafactor}", "{type: lars, momentum: 0.9}"}) {
      Share share = one_rank(model, 4);
      share.optimizer = read_options<optim::OptimizerOptions>(parse_yaml(optimizer, "optimizer"),
                                                              "optimizer", {});
      const RankMemory memory = rank_memory(model, share, 0);
      EXPECT_EQ(memory.parameters, parameters);
      EXPECT_EQ(memory.gradients, gradients);
      EXPECT_EQ(
          memory.optimizer,
          optim::make_optimizer(share.optimizer, nn::trained_tensors(*made.module))->state_bytes())
          << optimizer;
      EXPECT_EQ(memory.average, 0);
      share.average = true;
      EXPECT_EQ(rank_memory(model, share, 0).average, gradients);
    }
  }
}

/// Rows whose tokens are near a power of two, or a little less: the allocator's size classes, which
/// a plan does not know, waste least.
int64_t rows_for(const PlannedModel& model) { return model.tokens % 2 == 0 ? 16 : 63; }

// What a forward pass keeps, by the allocator's count, within 2%.
TEST(Plan, KeepsTheActivationsThatASmallModelKeeps) {
  for (const Recipe& recipe : recipes()) {
    const PlannedModel model = planned_model(recipe);
    const int64_t rows = rows_for(model);
    const Made made = make(recipe);
    // The loss forms the gradient of its weight at once.
    const int64_t head = model.outputs * model.dim * 4;
    const int64_t measured = kept_bytes([&] { return made.loss(rows); }) - head;
    const int64_t planned = rank_memory(model, one_rank(model, rows), 0).activations;
    EXPECT_NEAR(static_cast<double>(planned) / static_cast<double>(measured), 1.0, 0.02)
        << recipe.model.to_json();
  }
}

// The most that a whole step holds, by the allocator's count, within 10%.
TEST(Plan, PeaksWhereASmallModelPeaks) {
  for (const Recipe& recipe : recipes()) {
    const PlannedModel model = planned_model(recipe);
    for (const int64_t rows : {int64_t{1}, rows_for(model)}) {
      const int64_t before = allocator::stats().in_use_bytes;
      const Made made = make(recipe);
      const auto optimizer =
          optim::make_optimizer(optim::OptimizerOptions(), nn::trained_tensors(*made.module));
      const auto step = [&] {
        optimizer->zero_grad();
        const Tensor loss = made.loss(rows);
        backward(loss, Tensor::full(loss.shape(), 1.0));
        optimizer->step(1e-3);
      };
      step();
      allocator::reset_peak();
      step();
      const auto measured = static_cast<double>(allocator::stats().peak_bytes - before);
      const auto planned = static_cast<double>(rank_memory(model, one_rank(model, rows), 0).total);
      EXPECT_NEAR(planned / measured, 1.0, 0.1) << rows << " rows, " << recipe.model.to_json();
    }
  }
}

#ifndef __SANITIZE_ADDRESS__  // whose allocator writes to what it gives
int64_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

// 26 billion parameters, 100 GB: more than this machine has.
TEST(Plan, OfALargeModelTakesNoMemory) {
  const int64_t before = resident_bytes();
  const Recipe recipe = recipe_of(
      "model: {type: gpt, vocab: 50304, context: 4096, layers: 32, dim: 8192, heads: 64}\n" +
      kText);
  const PlannedModel model = planned_model(recipe);
  EXPECT_GT(model.parameter_count(), 26'000'000'000);
  EXPECT_LT(resident_bytes() - before, int64_t{256} << 20);
}
#endif

PlanRequest request_of(int64_t ranks, const std::string& mesh = "",
                       const std::string& machine = "h100") {
  PlanRequest request;
  request.ranks = ranks;
  request.machine = find_machine(machine);
  if (!mesh.empty()) request.mesh = mesh_from_text(mesh, ranks);
  return request;
}

// Blocks are on one stage each, the rest on all; matrices are halves on two ranks of the tensor
// axis.
TEST(Plan, SharesOfParametersAddUpToTheWhole) {
  for (const Recipe& recipe : recipes()) {
    const PlannedModel model = planned_model(recipe);
    int64_t blocks = 0, shared = 0;
    for (const PlannedParameter& p : model.parameters) {
      blocks += p.layer >= 0 ? p.elements : 0;
      shared += p.over_tensor() ? p.elements : 0;
    }
    const int64_t all = model.parameter_count(), rest = all - blocks;
    Share share = one_rank(model, 4);
    share.mesh.pipeline = 3;
    int64_t sum = 0;
    for (int64_t stage = 0; stage < 3; ++stage) {
      sum += rank_memory(model, share, stage).parameters - model.buffer_bytes;
    }
    EXPECT_EQ(sum, 4 * (blocks + 3 * rest)) << recipe.model.to_json();

    share.mesh = {.tensor = 2};
    EXPECT_GT(shared, all * 4 / 5);  // all but norms and positions
    EXPECT_EQ(rank_memory(model, share, 0).parameters - model.buffer_bytes,
              4 * (all - shared + shared / 2));
  }
}

/// Of what no block gathers for itself.
int64_t outside_bytes(const PlannedModel& model) {
  int64_t bytes = 0;
  for (const PlannedParameter& p : model.parameters) bytes += p.layer < 0 ? 4 * p.elements : 0;
  return bytes;
}

TEST(Plan, ShardsWhatItsLevelSays) {
  const PlannedModel model = planned_model(gpt_recipe());
  Share share = one_rank(model, 4);
  share.mesh.data = 4;
  const RankMemory whole = rank_memory(model, share, 0);
  const auto at = [&](Sharding sharding) {
    share.sharding = sharding;
    return rank_memory(model, share, 0);
  };
  const auto is_quarter = [](int64_t part, int64_t all) {
    EXPECT_NEAR(static_cast<double>(part), static_cast<double>(all) / 4, 4000);
  };
  EXPECT_EQ(at(Sharding::optimizer).gradients, whole.gradients);
  is_quarter(at(Sharding::optimizer).optimizer, whole.optimizer);
  EXPECT_EQ(at(Sharding::gradients).parameters, whole.parameters);
  is_quarter(at(Sharding::gradients).gradients, whole.gradients);
  is_quarter(at(Sharding::parameters).parameters - outside_bytes(model), whole.parameters);
}

// A rank's part is its chunk of every bucket: a plan rounds up by parameter where these do by
// bucket.
TEST(Plan, ShardsAreThoseOfTheirLayout) {
  const Recipe recipe = gpt_recipe();
  const PlannedModel model = planned_model(recipe);
  const Made made = make(recipe);
  std::vector<ShardLayout::Parameter> parameters;
  for (const auto& [name, tensor] : nn::trained_tensors(*made.module)) {
    parameters.push_back({name, tensor});
  }
  for (const int64_t ranks : {2, 3, 7}) {
    int64_t held = 0;
    const ShardLayout layout(parameters, ranks, 1 << 20);
    for (const auto& bucket : layout.buckets()) held += bucket.chunk;
    Share share = one_rank(model, ranks);
    share.mesh.data = ranks;
    share.sharding = Sharding::parameters;
    const RankMemory memory = rank_memory(model, share, 0);
    EXPECT_LE(held * 4, memory.gradients);
    EXPECT_GE(held * 4 + 4 * std::ssize(parameters), memory.gradients);
    EXPECT_EQ(memory.parameters, memory.gradients + outside_bytes(model));
    EXPECT_EQ(memory.optimizer, 2 * memory.gradients + 8);
  }
}

// Activations under 1F1B: the first stage holds as many micro-batches as there are stages.
TEST(Plan, EarlyStagesHoldMoreMicroBatches) {
  const PlannedModel model =
      planned_model(gpt_recipe(", context: 128, layers: 4, dim: 128, heads: 4, tied: false"));
  Share share = one_rank(model, 2);
  share.mesh.pipeline = 4;
  share.micro_batches = 8;
  const auto kept = [&](int64_t stage) {
    return static_cast<double>(rank_memory(model, share, stage).activations);
  };
  EXPECT_NEAR(kept(1) / kept(2), 3.0 / 2.0, 1e-9);
  EXPECT_GT(kept(0), 3.5 * kept(3));
}

TEST(Plan, LooksAtEveryMesh) {
  EXPECT_EQ(all_meshes(1).size(), 1u);
  EXPECT_EQ(all_meshes(8).size(), 20u);  // ways to deal 3 twos to 4 axes
  for (const MeshShape& mesh : all_meshes(12)) EXPECT_EQ(mesh.ranks(), 12);
}

TEST(Plan, TakesTheFastestThatFits) {
  const Plan plan = make_plan(gpt_recipe("", "train: {batch_size: 16}"), request_of(8));
  EXPECT_TRUE(plan.best.fits);
  EXPECT_EQ(plan.best.share.mesh.ranks(), 8);
  for (const PlannedRun& run : plan.others) {
    if (run.fits) {
      EXPECT_LE(plan.best.time.total(), 1.01 * run.time.total());
    }
  }
}

// The longest sequence grows with the ranks that share it: nearly as they do on a ring, by their
// root under RSA once scores are all there is. Learned positions would be whole on every rank.
TEST(Plan, LongestSequenceGrowsWithItsRanks) {
  const Recipe recipe = gpt_recipe(", position: rotary", "train: {batch_size: 1}");
  const auto longest = [&](int64_t ranks, SequenceMethod method) {
    PlanRequest request = request_of(ranks, fmt::format("sequence={}", ranks), "p100");
    request.method = method;
    return static_cast<double>(make_plan(recipe, request).longest_tokens);
  };
  const double ring = longest(16, SequenceMethod::ring) / longest(4, SequenceMethod::ring);
  EXPECT_GT(ring, 3.0);
  const double rsa = longest(16, SequenceMethod::rsa) / longest(4, SequenceMethod::rsa);
  EXPECT_NEAR(rsa, 2.0, 0.2);
  EXPECT_GT(longest(4, SequenceMethod::ring), 3 * longest(4, SequenceMethod::rsa));
}

TEST(Plan, OfALargeModelNeedsMoreThanOneRank) {
  const Recipe recipe = gpt_recipe(", layers: 32, dim: 4096, heads: 32, context: 2048",
                                   "train: {batch_size: 8, precision: bf16}");
  const Plan one = make_plan(recipe, request_of(1));
  EXPECT_FALSE(one.best.fits);
  const Plan many = make_plan(recipe, request_of(8));
  EXPECT_TRUE(many.best.fits);
}

template <class Function>
std::string refused(Function function) {
  try {
    function();
  } catch (const RequestError& error) {
    return error.what();
  }
  return "nothing was refused";
}

TEST(Plan, RefusesWithWhatToChange) {
  const Recipe recipe = gpt_recipe("", "train: {batch_size: 16}");
  EXPECT_THAT(refused([] { mesh_from_text("data=3,tensor=2", 8); }),
              HasSubstr("data 3 x tensor 2 wants 6 ranks, but there are 8 (--gpus N)"));
  EXPECT_THAT(refused([] { mesh_from_text("tensor=3", 8); }),
              HasSubstr("tensor 3 wants a multiple of 3 ranks, but there are 8"));
  EXPECT_THAT(refused([] { mesh_from_text("data=999999999,tensor=999999999,sequence=999", 0); }),
              HasSubstr("at most 1000000 ranks"));
  EXPECT_THAT(refused([] { mesh_from_text("tensr=2", 8); }), HasSubstr("'tensor'"));
  EXPECT_THAT(refused([] { mesh_from_text("tensor=two", 8); }), HasSubstr("like tensor=2"));
  EXPECT_THAT(refused([] { mesh_from_text("tensor", 8); }), HasSubstr("like tensor=2"));
  EXPECT_THAT(refused([&] { make_plan(recipe, request_of(8, "tensor=8")); }), HasSubstr("4 heads"));
  EXPECT_THAT(refused([&] { make_plan(recipe, request_of(3, "sequence=3")); }),
              HasSubstr("128 tokens"));
  EXPECT_THAT(refused([&] { make_plan(recipe, request_of(4, "pipeline=4")); }),
              HasSubstr("3 blocks"));
  EXPECT_THAT(refused([&] { make_plan(recipe, request_of(11)); }), HasSubstr("--gpus"));
  EXPECT_THAT(refused([] { find_machine("h10"); }), HasSubstr("h100"));
}

/// Why `heed train` would not run it so.
std::string no(const Recipe& recipe, const std::string& mesh, Sharding sharding = Sharding::none) {
  PlanRequest request = request_of(4, mesh);
  request.sharding = sharding;
  return refused([&] { make_plan(recipe, request); });
}

TEST(Plan, RefusesWhatTrainingRefuses) {
  const std::string rest = "train: {batch_size: 16}\n";
  EXPECT_EQ(no(gpt_recipe(", layers: 3, context: 128, dim: 96, heads: 12, kv_heads: 2", rest),
               "tensor=4"),
            "nothing was refused");
  EXPECT_THAT(no(gpt_recipe(", layers: 3, context: 128, dim: 96, heads: 12, kv_heads: 3", rest),
                 "tensor=4"),
              HasSubstr("divide or be a multiple of the 3 key heads"));
  EXPECT_THAT(
      no(gpt_recipe(", layers: 3, context: 128, dim: 8, heads: 8, kv_heads: 1, head_dim: 2", rest),
         "tensor=4"),
      HasSubstr("4 ranks cannot share a key head of 2 features"));
  EXPECT_THAT(no(gpt_recipe(", layers: 3, context: 128, dim: 96, heads: 6", rest), "tensor=4"),
              HasSubstr("the 6 heads"));
  for (const char* method : {"ring", "rsa", "heads"}) {  // zigzag wants a multiple of 8
    const Recipe recipe =
        gpt_recipe(", layers: 3, context: 124, dim: 128, heads: 4",
                   rest + fmt::format("parallel: {{sequence_attention: {}}}\n", method));
    EXPECT_THAT(no(recipe, "sequence=4"), HasSubstr("124 tokens")) << method;
  }
  const Recipe contiguous = gpt_recipe(", layers: 3, context: 124, dim: 128, heads: 4",
                                       rest + "parallel: {sequence_layout: contiguous}\n");
  EXPECT_EQ(no(contiguous, "sequence=4"), "nothing was refused");

  for (const char* type : {"lars", "adafactor"}) {
    const Recipe recipe = gpt_recipe("", rest + fmt::format("optimizer: {{type: {}}}\n", type));
    EXPECT_THAT(no(recipe, "tensor=4"), HasSubstr("needs whole tensors"));
    EXPECT_THAT(no(recipe, "data=4", Sharding::optimizer), HasSubstr("needs whole tensors"));
  }
  const Recipe clipped = gpt_recipe("", "train: {batch_size: 16, adaptive_clip: 0.1}\n");
  EXPECT_THAT(no(clipped, "tensor=4"), HasSubstr("adaptive_clip"));
  EXPECT_THAT(no(clipped, "data=4", Sharding::gradients), HasSubstr("adaptive_clip"));
  const std::string linformer = ", attention: {type: linformer, tokens: 128, projected: 32}";
  EXPECT_EQ(no(encoder_recipe(linformer, rest), "sequence=4"), "nothing was refused");
  EXPECT_THAT(no(encoder_recipe(linformer, rest + "optimizer: {type: lars}\n"), "sequence=4"),
              HasSubstr("sequence 4: optimizer.type: lars needs whole tensors"));
  EXPECT_EQ(no(encoder_recipe("", rest + "optimizer: {type: lars}\n"), "sequence=4"),
            "nothing was refused");
  EXPECT_THAT(no(gpt_recipe("", rest + "evaluation: {batch_size: 6}\n"), "data=4"),
              HasSubstr("evaluation.batch_size 6 does not share out"));
  const Recipe shared = gpt_recipe("", rest + "parallel: {share_norms: true}\n");
  EXPECT_THAT(no(shared, "sequence=4"), HasSubstr("share_norms"));
  EXPECT_THAT(no(gpt_recipe("", "train: {precision: f64}\n"), "data=4"), HasSubstr("f32 or bf16"));

  PlannedModel model = planned_model(gpt_recipe());
  model.units = 0;
  Share share = one_rank(model, 4);
  share.mesh.data = 4;
  share.sharding = Sharding::parameters;
  EXPECT_THAT(refusal(model, share), HasSubstr("no blocks"));
}

// What is not said on the command line.
TEST(Plan, TakesTheMeshOfTheRecipe) {
  const Recipe recipe =
      gpt_recipe("", "train: {batch_size: 16}\nparallel: {sequence: 2, sequence_attention: rsa}\n");
  const Plan plan = make_plan(recipe, request_of(8));
  EXPECT_EQ(plan.best.share.mesh.to_string(), "data 4 x sequence 2");
  EXPECT_EQ(plan.best.share.method, SequenceMethod::rsa);
  EXPECT_EQ(plan.meshes, 1);
  EXPECT_EQ(make_plan(recipe, request_of(0)).best.share.mesh.to_string(), "sequence 2");
  EXPECT_EQ(make_plan(recipe, request_of(0, "sequence=4")).request.ranks, 4);
  EXPECT_EQ(make_plan(recipe, request_of(8, "data=8")).best.share.mesh.to_string(), "data 8");
  EXPECT_THAT(refused([&] { make_plan(recipe, request_of(3)); }),
              HasSubstr("parallel: sequence 2 wants a multiple of 2 ranks, but there are 3"));
}

// The longest sequence is one that training takes.
TEST(Plan, LongestSequencesShareOut) {
  for (const char* layout : {"zigzag", "contiguous"}) {
    const Recipe recipe =
        gpt_recipe("",
                   "train: {batch_size: 1}\nparallel: {sequence: 4, sequence_attention: rsa, "
                   "sequence_layout: " +
                       std::string(layout) + "}\n");
    const int64_t longest = make_plan(recipe, request_of(4, "", "p100")).longest_tokens;
    EXPECT_GT(longest, 0);
    EXPECT_EQ(longest % pieces(token_layout(layout), 4), 0);
  }
}

// Ranks that share matrices have the stream whole, or a part of it with share_norms: what the norms
// take in, and a block's input under checkpointing.
TEST(Plan, SharedNormsTakeAPartOfTheStream) {
  const PlannedModel model = planned_model(gpt_recipe());
  Share share = one_rank(model, 4);
  share.mesh.tensor = 2;
  const int64_t stream = 4 * 4 * 128 * 128;  // rows, bytes, tokens, features
  const auto kept = [&](bool share_norms, bool checkpointing) {
    share.share_norms = share_norms;
    share.checkpointing = checkpointing;
    return rank_memory(model, share, 0).activations;
  };
  const int64_t statistics = 2 * 2 * 4 * 4 * 128;  // means and deviations, of two norms
  // All but the first block's input, which is a view of all tokens'.
  EXPECT_EQ(kept(false, false) - kept(true, false), 3 * (stream + statistics / 2) - stream / 2);
  // Branches are added late: 2 tensors a block but for the first.
  EXPECT_EQ(kept(false, true) - kept(true, true), (2 * 3 - 2) * stream / 2);
}

TEST(Plan, ReadsMachinesAndChecksThem) {
  for (const MachineDescription& machine : known_machines()) {
    EXPECT_FALSE(machine.description.empty());
    EXPECT_EQ(
        write_options(read_options<MachineDescription>(write_options(machine), "machine", {})),
        write_options(machine));
  }
}

}  // namespace
}  // namespace heed::recipes
