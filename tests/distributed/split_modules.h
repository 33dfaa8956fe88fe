// Modules whose matrices ranks share against the whole ones, in f64: results, gradients of inputs
// and of parameters, dropout included.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "distributed/tensor_parallel.h"
#include "distributed/world.h"
#include "kernels/copy/copy.h"
#include "nn/models/encoder.h"
#include "nn/models/gpt.h"
#include "tests/samples.h"

namespace heed::testing {

/// Of the largest value: f64 over sums of some hundred terms.
inline constexpr double kF64 = 1e-12;

inline void expect_close(const Tensor& got, const Tensor& want, const std::string& name) {
  ASSERT_EQ(got.shape(), want.shape()) << name;
  const std::vector<double> x = got.to_vector<double>(), y = want.to_vector<double>();
  double largest = 0.0, difference = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::abs(y[i]));
    difference = std::max(difference, std::abs(x[i] - y[i]));
  }
  EXPECT_LE(difference, kF64 * std::max(largest, 1.0)) << name;
}

inline Tensor summed(const Tensor& x) {
  const Tensor sum = kernels::contiguous(add(x.detach(), 0.0));
  world().all_reduce(sum);
  return sum;
}

/// Values that no initialisation leaves at zero.
inline void fill(nn::Module& module) {
  module.assign_paths();
  module.convert(DType::f64);
  for (const auto& named : module.named_tensors()) {
    kernels::copy(mul(normal(named.tensor->shape(), named.name), 0.3), *named.tensor);
  }
}

/// Gradient of each parameter by name.
inline std::map<std::string, Tensor> gradients(nn::Module& module) {
  std::map<std::string, Tensor> found;
  for (const auto& named : module.named_parameters()) found[named.name] = grad(*named.tensor);
  return found;
}

/// `run` computes the result from a module and the input. The losses of the ranks, sum(result
/// weight) / ranks each, add up to that of the whole. `part` says which part of the result is a
/// rank's (null: it is whole). An input of integers has no gradient.
template <class M>
void expect_like_whole(const std::function<std::unique_ptr<M>()>& make,
                       const std::function<void(M&)>& split, const Tensor& input,
                       const std::function<Tensor(M&, const Tensor&)>& run,
                       const std::function<Tensor(const Tensor&)>& part = {}) {
  random_context() = {.seed = 5, .step = 3, .part = 0};
  const auto whole = make(), own = make();
  fill(*whole);
  fill(*own);
  split(*own);

  const bool floating = is_floating(input.dtype());
  Tensor x = input, u = input;
  if (floating) {
    for (Tensor* leaf : {&x, &u}) require_grad(*leaf = mul(input, 1.0));
  }
  const Tensor y = run(*whole, x), v = run(*own, u);
  expect_close(v, part ? part(y.detach()) : y, "result");
  const Tensor weight = normal(y.shape(), "weight");
  backward(sum(mul(y, weight)));
  // A part reaches the loss once, a whole result on each rank.
  backward(sum(mul(v, part ? part(weight) : mul(weight, 1.0 / world().size()))));

  if (floating) expect_close(summed(grad(u)), grad(x), "input");
  const std::map<std::string, Tensor> want = gradients(*whole);
  int shards = 0;
  for (const auto& named : own->named_parameters()) {
    Tensor got = grad(*named.tensor);
    if (!got.defined()) got = Tensor::zeros(named.tensor->shape(), DType::f64);
    ASSERT_TRUE(want.contains(named.name)) << named.name;
    if (named.shard != nullptr) {
      ++shards;
      expect_close(got, nn::shard_of(want.at(named.name), *named.shard), named.name);
    } else {
      expect_close(summed(got), want.at(named.name), named.name);
    }
  }
  EXPECT_GT(shards, 0);
  EXPECT_EQ(own->parameter_count(), whole->parameter_count());
}

inline nn::TensorSplitPointer split_of_world() { return tensor_split(world()); }

/// Splits a model by its own plan.
template <class M>
void split_model(M& model) {
  split_tensors(model, world(), split_plan(model));
}

/// A small decoder whose vocabulary shares out unevenly.
inline nn::GptOptions small_gpt() {
  nn::GptOptions o;
  o.vocab = 29;
  o.context = 8;
  o.layers = 2;
  o.dim = 8;
  o.heads = 12;
  o.head_dim = 2;
  o.dropout = o.mlp_dropout = 0.2;
  return o;
}

/// A small encoder with as many heads.
inline nn::EncoderOptions small_encoder(bool norm_first) {
  nn::EncoderOptions o;
  o.vocab = 29;
  o.context = 8;
  o.layers = 2;
  o.dim = 24;
  o.heads = 12;
  o.classes = 5;
  o.norm_first = norm_first;
  return o;
}

}  // namespace heed::testing
