#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nn/models/language_model.h"
#include "recipes/engine/c/heed.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/generate.h"
#include "tests/recipes/runs.h"
#include "tests/recipes/tiny.h"

namespace heed::recipes {
namespace {

using ::testing::HasSubstr;

class CApi : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tiny(folder_);
    train_tiny(folder_, "run");
    model_ = heed_load(folder_.path("run").c_str());
    ASSERT_NE(model_, nullptr) << heed_last_error();
  }
  void TearDown() override { heed_free(model_); }

  Scratch folder_;
  heed_model* model_ = nullptr;
};

heed_tensor ids_tensor(const std::vector<int64_t>& ids, int64_t rows) {
  return {"ids", HEED_I64, 2, {rows, static_cast<int64_t>(ids.size()) / rows}, ids.data()};
}

TEST_F(CApi, TellsWhatItLoaded) {
  EXPECT_STREQ(heed_inputs(model_), "ids\ntargets?");
  const Config config = parse_json(heed_config(model_), "config");
  EXPECT_EQ(config.at("type").as_string(), "gpt");
  EXPECT_EQ(config.at("dim").as_integer(), 16);
  EXPECT_THAT(heed_version(), ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
}

TEST_F(CApi, RunsTheModel) {
  const std::vector<int64_t> ids = {104, 101, 121, 32, 72, 73};
  const heed_tensor input = ids_tensor(ids, 2);
  heed_result* result = heed_run(model_, &input, 1);
  ASSERT_NE(result, nullptr) << heed_last_error();
  ASSERT_EQ(heed_result_count(result), 1u);
  const heed_tensor logits = heed_result_tensor(result, 0);
  EXPECT_EQ(logits.dtype, HEED_F32);
  ASSERT_EQ(logits.rank, 3);

  const LoadedRun run = load_run(folder_.path("run"), TaskUse::generate);
  const NoGrad none;
  const Tensor wanted =
      dynamic_cast<nn::LanguageModel&>(run.task->module()).forward(Tensor::from(ids, {2, 3}));
  ASSERT_EQ(wanted.shape(), (Shape{logits.shape[0], logits.shape[1], logits.shape[2]}));
  EXPECT_EQ(std::memcmp(logits.data, wanted.raw(), static_cast<size_t>(wanted.bytes())), 0);
  EXPECT_EQ(heed_result_tensor(result, 1).data, nullptr);
  heed_result_free(result);

  const std::vector<int64_t> targets = {101, 121, 32, 72, 73, 74};
  const heed_tensor both[] = {input, {"targets", HEED_I64, 2, {2, 3}, targets.data()}};
  result = heed_run(model_, both, 2);
  ASSERT_NE(result, nullptr) << heed_last_error();
  ASSERT_EQ(heed_result_count(result), 2u);
  const heed_tensor loss = heed_result_tensor(result, 1);
  EXPECT_EQ(loss.rank, 0);
  EXPECT_TRUE(std::isfinite(*static_cast<const float*>(loss.data)));
  heed_result_free(result);
}

TEST_F(CApi, GeneratesAsTheCommandDoes) {
  heed_generate_options options = heed_generate_defaults(model_);
  options.max_tokens = 20;
  options.seed = 5;
  options.temperature = 0.7;
  std::string pieces;
  const auto collect = [](const char* piece, void* user) {
    *static_cast<std::string*>(user) += piece;
    return 0;
  };
  char* text = nullptr;
  ASSERT_EQ(heed_generate(model_, "line ", &options, collect, &pieces, &text), HEED_OK)
      << heed_last_error();
  GenerateOptions wanted = default_generate_options(folder_.path("run"));
  wanted.max_tokens = 20;
  wanted.seed = 5;
  wanted.temperature = 0.7;
  EXPECT_EQ(text, generate(folder_.path("run"), "line ", wanted).text);
  EXPECT_EQ(text, pieces);
  heed_free_text(text);
  EXPECT_EQ(heed_generate(model_, "line ", nullptr, nullptr, nullptr, nullptr), HEED_OK);
}

TEST_F(CApi, ACallbackStopsTheWriting) {
  heed_generate_options options = heed_generate_defaults(model_);
  options.temperature = 0.0;
  options.max_tokens = 20;
  char* whole = nullptr;
  ASSERT_EQ(heed_generate(model_, "line ", &options, nullptr, nullptr, &whole), HEED_OK);
  int calls = 0;
  const auto stop = [](const char*, void* user) { return ++*static_cast<int*>(user) == 3 ? 1 : 0; };
  char* text = nullptr;
  EXPECT_EQ(heed_generate(model_, "line ", &options, stop, &calls, &text), HEED_STOPPED);
  EXPECT_EQ(calls, 3);
  ASSERT_NE(text, nullptr);
  EXPECT_THAT(whole, ::testing::StartsWith(text));
  EXPECT_GT(std::strlen(text), 0u);
  EXPECT_LT(std::strlen(text), std::strlen(whole));
  heed_free_text(text);
  heed_free_text(whole);
}

TEST_F(CApi, EncodesAndDecodes) {
  const char* text = "line 4 é";
  const int64_t count = heed_encode(model_, text, nullptr, 0);
  ASSERT_EQ(count, 9);  // bytes
  std::vector<int64_t> ids(9, -7);
  EXPECT_EQ(heed_encode(model_, text, ids.data(), 4), 9);
  EXPECT_EQ(ids[3], 'e');
  EXPECT_EQ(ids[4], -7) << "no more than there is room for";
  heed_encode(model_, text, ids.data(), ids.size());
  char* back = nullptr;
  ASSERT_EQ(heed_decode(model_, ids.data(), ids.size(), &back), HEED_OK);
  EXPECT_STREQ(back, text);
  heed_free_text(back);
}

TEST_F(CApi, SaysWhatIsWrong) {
  EXPECT_EQ(heed_load("nowhere"), nullptr);
  EXPECT_THAT(heed_last_error(), HasSubstr("nowhere"));
  EXPECT_EQ(heed_load(nullptr), nullptr);
  EXPECT_THAT(heed_last_error(), HasSubstr("NULL"));

  const std::vector<int64_t> ids = {1, 2, 300};
  heed_tensor input = ids_tensor(ids, 1);
  EXPECT_EQ(heed_run(model_, &input, 1), nullptr) << "id 300 of 257";
  EXPECT_THAT(heed_last_error(), HasSubstr("300"));
  input.name = "x";
  EXPECT_EQ(heed_run(model_, &input, 1), nullptr);
  EXPECT_THAT(heed_last_error(), HasSubstr("takes no input 'x'"));
  EXPECT_EQ(heed_run(model_, nullptr, 0), nullptr);
  EXPECT_THAT(heed_last_error(), HasSubstr("wants an input 'ids'"));
  input = ids_tensor(ids, 1);
  const heed_tensor twice[] = {input, input};
  EXPECT_EQ(heed_run(model_, twice, 2), nullptr);
  EXPECT_THAT(heed_last_error(), HasSubstr("'ids' is given twice"));
  input.shape[0] = input.shape[1] = int64_t{1} << 32;
  EXPECT_EQ(heed_run(model_, &input, 1), nullptr);
  EXPECT_THAT(heed_last_error(), HasSubstr("larger than any memory"));
  input.rank = 9;
  EXPECT_EQ(heed_run(model_, &input, 1), nullptr);
  EXPECT_THAT(heed_last_error(), HasSubstr("rank of 9"));

  const int64_t id = 1000;
  char* text = nullptr;
  EXPECT_EQ(heed_decode(model_, &id, 1, &text), HEED_WRONG_REQUEST);
  EXPECT_THAT(heed_last_error(), HasSubstr("id 1000"));
  heed_generate_options options{};
  EXPECT_EQ(heed_generate(model_, "line", &options, nullptr, nullptr, nullptr), HEED_WRONG_REQUEST);
  EXPECT_THAT(heed_last_error(), HasSubstr("heed_generate_defaults"));
  options = heed_generate_defaults(model_);
  options.top_p = 2.0;
  EXPECT_EQ(heed_generate(model_, "line", &options, nullptr, nullptr, &text), HEED_WRONG_REQUEST);
  EXPECT_THAT(heed_last_error(), HasSubstr("top_p"));
  EXPECT_EQ(text, nullptr);
}

TEST(CApiWithoutText, SaysSo) {
  const Scratch folder;
  folder.write("users.txt", "1 2 3 4\n2 3 4 5\n3 4 5 1\n");
  const std::string recipe = folder.write("r.yaml", R"(
name: r
task: {type: sequential_recommendation, k: [1]}
data: {type: user-items, file: users.txt, format: sequences}
model: {type: sequential_recommender, context: 4, layers: 1, dim: 4}
train: {steps: 1, batch_size: 2}
)");
  train_file(recipe, folder.path("run"), {});
  heed_model* model = heed_load(folder.path("run").c_str());
  ASSERT_NE(model, nullptr) << heed_last_error();
  EXPECT_EQ(heed_encode(model, "text", nullptr, 0), -1);
  EXPECT_THAT(heed_last_error(), HasSubstr("without a tokenizer"));
  EXPECT_EQ(heed_generate(model, "text", nullptr, nullptr, nullptr, nullptr), HEED_WRONG_REQUEST);
  const int64_t items[] = {1, 2, 3};
  const heed_tensor input = {"items", HEED_I64, 2, {1, 3}, items};
  heed_result* result = heed_run(model, &input, 1);
  ASSERT_NE(result, nullptr) << heed_last_error();
  EXPECT_EQ(heed_result_tensor(result, 0).shape[1], 5);
  heed_result_free(result);
  heed_free(model);
}

}  // namespace
}  // namespace heed::recipes
