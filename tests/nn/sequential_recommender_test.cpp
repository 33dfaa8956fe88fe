#include "nn/models/sequential_recommender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using ::testing::HasSubstr;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

Tensor numbers(const std::vector<int64_t>& values, const Shape& shape) {
  return Tensor::from(values, shape);
}

template <class Fn>
std::string message_of(const Fn& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.what();
  }
  return "no Error";
}

constexpr const char* kSmall =
    "{items: 9, context: 6, layers: 2, dim: 8, heads: 2, norm_eps: 1e-5, dropout: 0.2, ";

std::unique_ptr<SequentialRecommender> model_of(const std::string& text) {
  auto model = std::make_unique<SequentialRecommender>(
      read_options<SequentialRecommenderOptions>(yaml(text), "model"));
  model->initialise(3);
  model->eval();
  return model;
}

TEST(SequentialRecommender, GradientsAgreeWithDifferences) {
  const Inputs inputs = {{"items", numbers({4, 2, 9, 0, 1, 0, 0, 0}, {2, 4})},
                         {"targets", numbers({2, 9, 5, 0, 7, 0, 0, 0}, {2, 4})},
                         {"negatives", numbers({1, 3, 3, 0, 2, 0, 0, 0}, {2, 4, 1})}};
  for (const char* more : {"}", "position: rotary, norm: rms_norm, mlp: swiglu}",
                           "position: none, scale_embedding: false, checkpointing: true}"}) {
    for (const bool train : {false, true}) {
      EXPECT_EQ(gradcheck_module("sequential_recommender", "model",
                                 yaml(std::string(kSmall) + more), inputs, train),
                "")
          << more;
    }
  }
}

TEST(SequentialRecommender, HasTheParametersOfItsFormula) {
  // Items and slots; a block: two norms, q k v and output, two linear layers of width dim.
  const auto model = model_of("{items: 12101}");
  const int64_t block = 2 * 2 * 64 + 4 * (64 * 64 + 64) + 2 * (64 * 64 + 64);
  EXPECT_EQ(model->parameter_count(), 12101 * 64 + 50 * 64 + 2 * block + 2 * 64);
}

TEST(SequentialRecommender, PaddingHasNoInfluence) {
  const auto model = model_of(std::string(kSmall) + "}");
  const NoGrad no_grad;
  const Tensor alone = model->forward(numbers({4, 2, 9}, {1, 3}));
  const Tensor padded = model->forward(numbers({4, 2, 9, 0, 0, 1, 2, 3, 4, 5}, {2, 5}));
  Tensor first = Tensor::empty({1, 9});
  std::copy_n(padded.data<float>(), 9, first.data<float>());
  // Two blocks, each a chain of some six sums of up to 9 terms.
  EXPECT_LT(relative_distance(first, alone), 8 * 12 * 3 * 0x1p-24);
}

TEST(SequentialRecommender, EarlierPlacesDoNotSeeLaterItems) {
  const auto model = model_of(std::string(kSmall) + "position: none}");
  const NoGrad no_grad;
  const Tensor a = model->features(numbers({4, 2, 9, 1}, {1, 4}));
  const Tensor b = model->features(numbers({4, 2, 3, 5}, {1, 4}));
  for (int64_t i = 0; i < 2 * 8; ++i) EXPECT_EQ(a.data<float>()[i], b.data<float>()[i]);
  EXPECT_NE(a.data<float>()[2 * 8], b.data<float>()[2 * 8]);
}

TEST(SequentialRecommender, TheNewestItemHasTheLastSlot) {
  const auto model = model_of("{items: 9, context: 6, layers: 1, dim: 8, dropout: 0}");
  const NoGrad no_grad;
  const Tensor before = model->forward(numbers({4, 2}, {1, 2}));
  // A short row uses the last slots only.
  for (int64_t i = 0; i < 4 * 8; ++i) model->position->weight.data<float>()[i] += 1.0f;
  EXPECT_TRUE(bitwise_equal(model->forward(numbers({4, 2}, {1, 2})), before));
  for (int64_t i = 5 * 8; i < 6 * 8; ++i) model->position->weight.data<float>()[i] += i % 3;
  EXPECT_FALSE(bitwise_equal(model->forward(numbers({4, 2}, {1, 2})), before));
}

TEST(SequentialRecommender, WithoutATargetTheLossIsZero) {
  const auto model = model_of(std::string(kSmall) + "}");
  const Tensor items = numbers({4, 0}, {1, 2}), none = numbers({0, 0}, {1, 2});
  EXPECT_EQ(model->loss(items, none).item(), 0.0);
  EXPECT_EQ(model->sampled_loss(items, none, numbers({0, 0}, {1, 2, 1})).item(), 0.0);
}

TEST(SequentialRecommender, SaysWhatIsWrong) {
  const auto model = model_of(std::string(kSmall) + "}");
  EXPECT_THAT(message_of([&] {
                model->forward(numbers({0, 0, 1, 2}, {2, 2}));
              }),
              HasSubstr("row 0 has no items"));
  EXPECT_THAT(message_of([&] {
                model->forward(numbers({0, 3, 1, 2}, {2, 2}));
              }),
              HasSubstr("row 0 has items behind padding"));
  EXPECT_THAT(message_of([&] {
                model->forward(Tensor::full({1, 7}, 1, DType::i64));
              }),
              HasSubstr("7 items, but a context of 6"));
  EXPECT_THAT(message_of([&] { model->forward(numbers({10}, {1, 1})); }), HasSubstr("9"));
  EXPECT_THAT(message_of([] { model_of("{dim: 8}"); }), HasSubstr("items"));
}

}  // namespace
}  // namespace heed::nn
