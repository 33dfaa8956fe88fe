#include <gtest/gtest.h>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "distributed/gradient_reducer.h"
#include "distributed/world.h"
#include "nn/models/gpt.h"

namespace heed {
namespace {

Tensor leaf(const Shape& shape, double value, DType dtype = DType::f32) {
  Tensor x = Tensor::full(shape, value, dtype);
  return require_grad(x);
}

std::vector<double> gradient(const Tensor& x) {
  return grad(x).defined() ? grad(x).to_vector<double>() : std::vector<double>();
}

TEST(GradientReducer, SumsOverRanks) {
  Communicator& ranks = world();
  std::vector<Tensor> parameters;
  for (int i = 0; i < 7; ++i) parameters.push_back(leaf({i + 1, 3}, 1.0 + i));
  for (const int64_t bytes : {1, 40, 100, 1 << 20}) {  // a bucket each, some, one for all
    GradientReducer reducer(ranks, parameters, {.bucket_bytes = bytes});
    EXPECT_EQ(reducer.buckets(), bytes == 1 ? 7 : bytes == 1 << 20 ? 1 : reducer.buckets());
    for (const Tensor& p : parameters) clear_grad(p);
    for (int pass = 0; pass < 2; ++pass) {  // gradients of the first stay local until the second
      if (pass == 1) reducer.begin();
      Tensor loss = Tensor::zeros({});
      for (const Tensor& p : parameters) {
        loss = add(loss, sum(mul(mul(p, p), Tensor::full({}, 1.0 + ranks.rank()))));
      }
      backward(loss);
    }
    reducer.finish();
    const double factor = ranks.size() * (ranks.size() + 1) / 2.0;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const double want = 2 * 2 * (1.0 + static_cast<double>(i)) * factor;
      EXPECT_EQ(gradient(parameters[i]), std::vector<double>(3 * (i + 1), want)) << i;
    }
  }
}

TEST(GradientReducer, UnusedParameters) {
  Communicator& ranks = world();
  const Tensor everywhere = leaf({2}, 3.0), on_one = leaf({3}, 5.0), nowhere = leaf({4}, 7.0);
  GradientReducer reducer(ranks, {everywhere, on_one, nowhere}, {.bucket_bytes = 1});
  reducer.begin();
  Tensor loss = sum(everywhere);
  if (ranks.rank() == ranks.size() - 1) loss = add(loss, sum(on_one));
  backward(loss);
  reducer.finish();
  EXPECT_EQ(gradient(everywhere), std::vector<double>(2, ranks.size()));
  EXPECT_EQ(gradient(on_one), std::vector<double>(3, 1.0));
  EXPECT_FALSE(grad(nowhere).defined());
}

TEST(GradientReducer, MixesDtypesAndKeepsOrderWhenRanksDiffer) {
  Communicator& ranks = world();
  const Tensor a = leaf({5}, 1.0, DType::f64), b = leaf({5}, 1.0), c = leaf({5}, 1.0, DType::f64);
  GradientReducer reducer(ranks, {a, b, c});
  EXPECT_EQ(reducer.buckets(), 2);
  reducer.begin();
  // Every other rank reaches a before c.
  if (ranks.rank() % 2 == 0) {
    backward(sum(a));
    backward(sum(b));
    backward(sum(c));
  } else {
    backward(sum(c));
    backward(sum(b));
    backward(sum(a));
  }
  reducer.finish();
  for (const Tensor& p : {a, b, c}) {
    EXPECT_EQ(gradient(p), std::vector<double>(5, ranks.size()));
  }
}

// A whole decoder in f64: the batch shared among ranks against the batch on one.
TEST(GradientReducer, DecoderEqualsOneRank) {
  Communicator& ranks = world();
  const int64_t rows = 12, length = 6, vocab = 11;
  std::vector<int64_t> ids, next;
  for (int64_t i = 0; i < rows * length; ++i) {
    ids.push_back(i * i % vocab);
    next.push_back((i * i * 3 + 1) % vocab);
  }
  const auto part = [&](const std::vector<int64_t>& all, int64_t first, int64_t count) {
    const auto begin = all.begin() + first * length;
    return Tensor::from(std::vector<int64_t>(begin, begin + count * length), {count, length});
  };
  nn::GptOptions options;
  options.vocab = vocab;
  options.context = length;
  options.layers = options.heads = 2;
  options.dim = 8;
  nn::Gpt model(options);
  model.initialise(3);
  model.convert(DType::f64);

  backward(model.loss(part(ids, 0, rows), part(next, 0, rows)));
  std::vector<std::vector<double>> whole;
  std::vector<Tensor> parameters;
  for (const auto& [name, tensor] : nn::trained_tensors(model)) {
    whole.push_back(gradient(tensor));
    parameters.push_back(tensor);
    clear_grad(tensor);
  }

  GradientReducer reducer(ranks, parameters, {.bucket_bytes = 2000});
  EXPECT_GT(reducer.buckets(), 2);
  const int64_t own = rows / ranks.size();
  reducer.begin();
  const Tensor loss =
      model.loss(part(ids, ranks.rank() * own, own), part(next, ranks.rank() * own, own));
  backward(loss, Tensor::full(loss.shape(), 1.0 / ranks.size(), loss.dtype()));
  reducer.finish();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::vector<double> got = gradient(parameters[i]);
    ASSERT_EQ(got.size(), whole[i].size());
    for (size_t k = 0; k < got.size(); ++k) EXPECT_NEAR(got[k], whole[i][k], 1e-12);
  }
}

}  // namespace
}  // namespace heed
