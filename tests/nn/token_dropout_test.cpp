#include "nn/layers/token_dropout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/random.h"
#include "core/views.h"

namespace heed::nn {
namespace {

TEST(TokenDropout, ReplacesTheShareThatItShould) {
  TokenDropout layer(0.25);
  layer.assign_paths();
  const Tensor ids = Tensor::full({8, 500}, 7.0, DType::i64);
  layer.eval();
  EXPECT_EQ(layer.forward(ids).to_vector<int64_t>(), ids.to_vector<int64_t>());
  layer.train();
  random_context() = {.seed = 2, .step = 5, .part = 0};
  const auto kept = layer.forward(ids).to_vector<int64_t>();
  const auto zeros = static_cast<double>(std::count(kept.begin(), kept.end(), 0));
  EXPECT_EQ(std::count(kept.begin(), kept.end(), 7), 4000 - static_cast<int64_t>(zeros));
  EXPECT_NEAR(zeros / 4000, 0.25, 5 * std::sqrt(0.25 * 0.75 / 4000));
  // The second half of the rows, as a part of its own.
  random_context().part = 1;
  const auto half = layer.forward(views::slice(ids, 0, 4, 8)).to_vector<int64_t>();
  EXPECT_TRUE(std::equal(half.begin(), half.end(), kept.begin() + 2000));
  random_context() = {};
}

}  // namespace
}  // namespace heed::nn
