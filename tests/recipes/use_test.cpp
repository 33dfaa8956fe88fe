// What is done with a trained run: evaluation, generation, export, description.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "core/safetensors.h"
#include "recipes/engine/describe.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/export.h"
#include "recipes/engine/generate.h"
#include "recipes/engine/language_modeling.h"
#include "tests/core/raises.h"
#include "tests/recipes/tiny.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class Trained : public testing::Test {
 protected:
  Trained() {
    write_tiny(folder);
    end = train_tiny(folder, "run", {"train.steps=40"});
  }
  Scratch folder;
  EndReport end;
};

double metric(const Metrics& metrics, const std::string& name) {
  const double* value = find_metric(metrics, name);
  EXPECT_NE(value, nullptr) << name;
  return value == nullptr ? 0.0 : *value;
}

TEST_F(Trained, EvaluationGivesWhatTheTrainingSaw) {
  const Evaluation found = evaluate(folder.path("run"));
  EXPECT_EQ(found.step, 40);
  EXPECT_EQ(found.metrics, end.metrics);
  EXPECT_EQ(found.baselines, end.baselines);
}

TEST_F(Trained, EvaluationKeepsThePrecisionOfTheTraining) {
  const EndReport bf16 = train_tiny(folder, "bf16", {"train.precision=bf16"});
  EXPECT_EQ(evaluate(folder.path("bf16")).metrics, bf16.metrics);
  EXPECT_NE(evaluate(folder.path("bf16"), {"train.precision=f32"}).metrics, bf16.metrics);
}

TEST_F(Trained, EvaluationDoesNotDependOnTheBatchSize) {
  const double one =
      metric(evaluate(folder.path("run"), {"evaluation.batch_size=1"}).metrics, "loss");
  const double many =
      metric(evaluate(folder.path("run"), {"evaluation.batch_size=64"}).metrics, "loss");
  EXPECT_NEAR(one, many, 1e-5 * one);  // row losses are f32, their sum f64
}

TEST_F(Trained, MetricsFollowFromTheLoss) {
  const double loss = metric(end.metrics, "loss");
  EXPECT_NEAR(metric(end.metrics, "perplexity"), std::exp(loss), 1e-9 * std::exp(loss));
  EXPECT_NEAR(metric(end.metrics, "bits_per_token"), loss / std::numbers::ln2, 1e-12);
  // Tokens are bytes here, but for end-of-text, which one file does not have.
  EXPECT_NEAR(metric(end.metrics, "bits_per_byte"), loss / std::numbers::ln2, 1e-9);
}

TEST_F(Trained, AveragedWeightsAreMeasuredUnlessRefused) {
  const double averaged = metric(evaluate(folder.path("run")).metrics, "loss");
  const double own =
      metric(evaluate(folder.path("run"), {"evaluation.use_ema=false"}).metrics, "loss");
  EXPECT_NE(averaged, own);
}

TEST_F(Trained, GenerationRepeatsWithItsSeed) {
  GenerateOptions options;
  options.max_tokens = 50;  // well past the context of 8
  const std::string a = generate(folder.path("run"), "line ", options).text;
  EXPECT_EQ(generate(folder.path("run"), "line ", options).text, a);
  options.seed = 99;
  EXPECT_NE(generate(folder.path("run"), "line ", options).text, a);
}

TEST_F(Trained, PiecesMakeTheText) {
  GenerateOptions options;
  options.max_tokens = 30;
  std::string pieces;
  const Generated result = generate(folder.path("run"), "line", options,
                                    [&](const std::string& piece) { pieces += piece; });
  EXPECT_EQ(pieces, result.text);
  EXPECT_EQ(result.prompt_tokens, 4);
  EXPECT_EQ(result.tokens, 30);
  EXPECT_EQ(result.stopped_by, "max_tokens");
}

TEST_F(Trained, GreedyWithCacheEqualsGreedyWithoutOne) {
  LoadedRun run = load_run(folder.path("run"), TaskUse::generate);
  auto& task = dynamic_cast<LanguageModeling&>(*run.task);
  GenerateOptions options;
  options.greedy = true;
  options.max_tokens = 4;  // with the prompt, within the context
  const std::string with_cache = task.generate("line", options, {}).text;

  const NoGrad no_grad;
  std::vector<data::TokenId> ids = task.tokenizer().encode("line");
  std::string without;
  for (int i = 0; i < 4; ++i) {
    const auto count = static_cast<int64_t>(ids.size());
    const Tensor input = Tensor::from(std::vector<int64_t>(ids.begin(), ids.end()), {1, count});
    const std::vector<float> logits = task.model().forward(input).to_vector<float>();
    const auto last = logits.end() - task.model().vocab();
    ids.push_back(static_cast<data::TokenId>(std::max_element(last, logits.end()) - last));
    without += task.tokenizer().token(ids.back());
  }
  EXPECT_EQ(with_cache, without);
}

TEST_F(Trained, GenerationNeedsNoTrainingText) {
  fs::remove(folder.path("text.txt"));
  GenerateOptions options;
  options.max_tokens = 5;
  EXPECT_NO_THROW(generate(folder.path("run"), "", options));
}

TEST_F(Trained, StopTextEndsIt) {
  GenerateOptions options;
  options.max_tokens = 500;
  options.stop = {"\n"};
  const Generated result = generate(folder.path("run"), "line ", options);
  EXPECT_EQ(result.stopped_by, "stop");
  EXPECT_EQ(result.text.find('\n'), std::string::npos);
}

TEST_F(Trained, ExportsWeightsConfigAndTokenizer) {
  const std::string out = folder.path("out/model");
  const Exported exported = export_model(folder.path("run"), out, "safetensors");
  EXPECT_EQ(exported.files.size(), 3u);
  for (const std::string& file : exported.files) EXPECT_TRUE(fs::exists(file)) << file;

  const Config config = read_json_file(out + "/config.json");
  const auto model = nn::make_language_model(config);
  const auto tensors = read_safetensors(out + "/model.safetensors").tensors;
  nn::load_state_dict(*model, tensors);
  // The run keeps averages, so those are what is exported.
  size_t compared = 0;
  for (const auto& [name, average] : read_checkpoint(end.checkpoint).ema) {
    for (const auto& [own_name, tensor] : tensors) {
      if (own_name != name) continue;
      EXPECT_TRUE(same_bits(tensor, average)) << name;
      ++compared;
    }
  }
  EXPECT_EQ(compared, tensors.size());
}

TEST_F(Trained, UnknownFormatListsThoseThereAre) {
  EXPECT_THAT(request_error([&] { export_model(folder.path("run"), folder.path("x"), "gguf"); }),
              AllOf(HasSubstr("unknown format 'gguf'"), HasSubstr("safetensors")));
  EXPECT_FALSE(fs::exists(folder.path("x")));
}

TEST(Describe, CountsWhatTheModelHolds) {
  const Scratch folder;
  write_tiny(folder);
  const Description d = describe(load_recipe(folder.path("tiny.yaml")));
  // Embedding 257 x 16 (tied), positions 8 x 16; a block: two norms of 2 x 16, qkv 16 x 48 + 48,
  // out 16 x 16 + 16, mlp 16 x 64 + 64 and 64 x 16 + 16; the last norm 2 x 16.
  const int64_t block = 2 * 32 + (16 * 48 + 48) + (16 * 16 + 16) + (16 * 64 + 64) + (64 * 16 + 16);
  EXPECT_EQ(d.parameters, 257 * 16 + 8 * 16 + 2 * block + 32);
  EXPECT_EQ(d.parameter_bytes, 4 * d.parameters);
  EXPECT_EQ(d.gradient_bytes, 4 * d.parameters);
  EXPECT_EQ(d.ema_bytes, 4 * d.parameters);
  EXPECT_EQ(d.optimizer_bytes, 8 * d.parameters + 8);  // two moments, and the step
  EXPECT_GT(d.activation_bytes, 0);
  EXPECT_EQ(d.items_per_step, 3 * 2 * 8);
  EXPECT_EQ(d.modules.front().parameters, d.parameters);
  EXPECT_EQ(to_config(d).at("tokens_per_step").as_integer(), 48);
  EXPECT_THAT(to_text(d), AllOf(HasSubstr("tiny"), HasSubstr("blocks"), HasSubstr("activations")));
}

}  // namespace
}  // namespace heed::recipes
