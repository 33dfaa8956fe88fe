#include "nn/layers/recurrent.h"

#include <gtest/gtest.h>

#include "nn/models/gru_classifier.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::gradcheck_module;
using testing::random_ids;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

TEST(Recurrent, GradientsAgreeWithDifferences) {
  const Tensor x = random_tensor({3, 5, 2}, "x", DType::f64);
  const Tensor lengths = Tensor::from(std::vector<int64_t>{5, 1, 3}, {3});
  for (const char* kind : {"gru", "lstm"}) {
    EXPECT_EQ(gradcheck_module(kind, "layer", yaml("{in: 2, hidden: 3}"), {{"x", x}}), "") << kind;
    EXPECT_EQ(gradcheck_module(kind, "layer",
                               yaml("{in: 2, hidden: 2, layers: 2, bidirectional: true, dropout: "
                                    "0.3}"),
                               {{"x", x}, {"lengths", lengths}}, true),
              "")
        << kind;
  }
}

TEST(GruClassifier, GradientsAgreeWithDifferences) {
  const Inputs inputs{{"ids", random_ids({3, 4}, 7, "ids")},
                      {"lengths", Tensor::from(std::vector<int64_t>{2, 4, 1}, {3})}};
  const std::string small = "{vocab: 7, classes: 3, dim: 3, hidden: 2, ";
  EXPECT_EQ(gradcheck_module("gru_classifier", "model", yaml(small + "layers: 2}"), inputs, true),
            "");
  EXPECT_EQ(
      gradcheck_module("gru_classifier", "model", yaml(small + "cell: lstm, pool: mean}"), inputs),
      "");
}

TEST(GruClassifier, PaddingHasNoInfluence) {
  for (const char* pool : {"last", "mean"}) {
    Config config = yaml("{type: gru_classifier, dim: 8, hidden: 6}");
    config.set("pool", pool);
    const auto model = make_classifier(config, 4, ClassifierInput::tokens(50, 12));
    model->initialise(3);
    model->eval();
    const NoGrad no_grad;
    const Tensor lengths = Tensor::from(std::vector<int64_t>{5, 12}, {2});
    const Tensor ids = random_ids({2, 12}, 50, "ids");
    const Tensor logits = model->forward(ids, lengths);
    EXPECT_EQ(logits.shape(), (Shape{2, 4}));
    ids.data<int64_t>()[7] = (1 + ids.data<int64_t>()[7]) % 50;
    EXPECT_TRUE(bitwise_equal(model->forward(ids, lengths), logits));
    ids.data<int64_t>()[4] = (1 + ids.data<int64_t>()[4]) % 50;
    EXPECT_FALSE(bitwise_equal(model->forward(ids, lengths), logits));
    // Embedding, two directions of three gates with two biases each, and the head.
    EXPECT_EQ(model->parameter_count(), 50 * 8 + 2 * 18 * (8 + 6 + 2) + (12 * 4 + 4));
    EXPECT_EQ(make_classifier(model->config())->config(), model->config());
  }
}

}  // namespace
}  // namespace heed::nn
