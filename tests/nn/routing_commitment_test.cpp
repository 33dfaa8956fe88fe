// What routing layers add to a loss, and where that may be added.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "autograd/checkpoint.h"
#include "autograd/ops/loss.h"
#include "nn/attention/routing_attention.h"
#include "nn/extra_losses.h"
#include "tests/nn/routing_models.h"

namespace heed::nn {
namespace {

using namespace routing_models;
using ::testing::HasSubstr;
using testing::random_ids;
using testing::random_tensor;

TEST(RoutingCommitment, TheLossHasTheCommitmentOfItsRoutingLayers) {
  RoutingTransformerOptions options = small();
  options.commitment = 0.0;
  const auto model = made(options);
  options.commitment = 0.5;
  const auto committed = made(options);
  const Tensor ids = random_ids({2, 11}, options.vocab, "ids"),
               targets = random_ids({2, 11}, options.vocab, "targets");
  const NoGrad none;
  const double plain = model->loss(ids, targets).item();
  const double rows = cross_entropy(model->forward(ids), targets).item();
  EXPECT_NEAR(plain, rows, 1e-10 * rows);
  const ExtraLosses own;
  committed->loss_rows(ids, targets);
  ASSERT_TRUE(own.sum().defined());
  EXPECT_NEAR(committed->loss(ids, targets).item(), plain + own.sum().item(), 1e-9);
  EXPECT_GT(own.sum().item(), 0.0);
}

TEST(RoutingCommitment, DrawsVectorsToTheirCentroids) {
  // One layer of one head by itself: 2 * 0.5 * mean (q^ - its centroid)^2.
  const auto module =
      find_module("routing", "attention")
          .make(parse_yaml("{dim: 4, heads: 1, clusters: 3, commitment: 0.5}", "test"));
  module->initialise(3);
  module->convert(DType::f64);
  module->eval();
  auto& r = dynamic_cast<RoutingAttention&>(*module);
  const Tensor x = random_tensor({2, 5, 4}, "x", DType::f64);
  const ExtraLosses own;
  r.forward(x, {});
  const auto weight = r.named_parameters()[0].tensor->to_vector<double>(),
             in = x.to_vector<double>(), means = r.kmeans->centroids.to_vector<double>();
  double sum = 0.0;
  for (size_t t = 0; t < 10; ++t) {
    std::vector<double> q(4, 0.0);
    for (size_t row = 0; row < 4; ++row)
      for (size_t c = 0; c < 4; ++c) q[row] += weight[row * 4 + c] * in[t * 4 + c];
    if (r.named_parameters()[1].name == "qkv.bias")
      for (size_t row = 0; row < 4; ++row)
        q[row] += r.named_parameters()[1].tensor->to_vector<double>()[row];
    const double mean = (q[0] + q[1] + q[2] + q[3]) / 4;
    double variance = 0.0;
    for (const double a : q) variance += (a - mean) * (a - mean) / 4;
    for (double& a : q) a = (a - mean) / std::sqrt(variance + 1e-6);
    size_t best = 0;
    double most = -1e300;
    for (size_t k = 0; k < 3; ++k) {
      double score = 0.0;
      for (size_t c = 0; c < 4; ++c) score += q[c] * means[k * 4 + c];
      if (score > most) best = k;
      most = std::max(most, score);
    }
    for (size_t c = 0; c < 4; ++c) sum += std::pow(q[c] - means[best * 4 + c], 2) / 40;
  }
  EXPECT_NEAR(own.sum().item(), 2 * 0.5 * sum, 1e-10);
}

TEST(RoutingCommitment, CheckpointedBlocksGiveTheSameGradientsAndLearnOnce) {
  const auto step = [](bool checkpointing) {
    RoutingTransformerOptions options = small();
    options.checkpointing = checkpointing;
    options.commitment = 0.5;
    options.decay = 0.1;
    options.dropout = 0.2;
    options.token_dropout = 0.2;
    options.attention_dropout = 0.2;
    options.mlp_dropout = 0.2;
    options.embedding_dropout = 0.2;
    const auto model = made(options, DType::f32);
    model->train();
    random_context() = {.seed = 5, .step = 3, .part = 0};
    const Tensor loss = model->loss(random_ids({2, 11}, options.vocab, "ids"),
                                    random_ids({2, 11}, options.vocab, "targets"));
    backward(loss);
    random_context() = {};
    std::map<std::string, std::vector<float>> found{{"loss", loss.to_vector<float>()}};
    for (const auto& p : model->named_parameters())
      if (grad(*p.tensor).defined()) found[p.name] = grad(*p.tensor).to_vector<float>();
    for (const auto& [name, tensor] : state_dict(*model))
      if (name.find("kmeans") != std::string::npos) found[name] = tensor.to_vector<float>();
    return found;
  };
  const auto plain = step(false), again = step(true);
  EXPECT_GT(plain.size(), 30u);
  EXPECT_EQ(again, plain);
}

TEST(RoutingCommitment, StagesOfAPipelineRefuseLossesOfLayers) {
  struct First : StackStage {
    int64_t first_block() const override { return 0; }
    int64_t end_block() const override { return 2; }
    Tensor enter(const Shape& shape, DType dtype) override { return Tensor::zeros(shape, dtype); }
    Tensor leave(const Tensor& x) override { return x; }
  };
  const auto refused = [](double commitment) -> std::string {
    RoutingTransformerOptions options = small();
    options.commitment = commitment;
    const auto model = made(options, DType::f32);
    try {
      model->blocks.share(std::make_shared<First>());
    } catch (const RequestError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(refused(0.5), HasSubstr("parallel.pipeline"));
  EXPECT_EQ(refused(0.0), "");
}

}  // namespace
}  // namespace heed::nn
