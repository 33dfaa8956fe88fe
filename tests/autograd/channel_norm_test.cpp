#include "autograd/ops/channel_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/gradcheck.h"
#include "core/views.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;

// Batch and group norm divide by the spread of few values: eps is large to keep it smooth.
constexpr double kEps = 0.1;

const std::vector<Shape> kShapes = {{2, 1},       {5, 3},          {1, 2, 4},     {3, 7, 2},
                                    {2, 3, 5, 6}, {2, 1, 3, 2, 4}, {1, 5, 1, 17}, {2, 19, 4}};

TEST(BatchNorm, Gradients) {
  for (const Shape& shape : kShapes) {
    const int64_t c = shape[-1];
    EXPECT_EQ(
        gradcheck(
            [](const std::vector<Tensor>& in) { return batch_norm(in[0], in[1], in[2], kEps).out; },
            {normal(shape, "x"), normal({c}, "w"), normal({c}, "b")}),
        "")
        << shape.to_string();
    EXPECT_EQ(
        gradcheck([](const std::vector<Tensor>& in) { return batch_norm(in[0], {}, {}, kEps).out; },
                  {normal(shape, "x")}),
        "");
  }
}

TEST(BatchNorm, GradientsWithGivenStatistics) {
  for (const Shape& shape : kShapes) {
    const int64_t c = shape[-1];
    const Tensor mean = normal({c}, "m"), var = Tensor::full({c}, 0.7, DType::f64);
    EXPECT_EQ(gradcheck(
                  [&](const std::vector<Tensor>& in) {
                    return batch_norm_with(in[0], mean, var, in[1], in[2], kEps);
                  },
                  {normal(shape, "x"), normal({c}, "w"), normal({c}, "b")}),
              "");
  }
}

TEST(GroupNorm, Gradients) {
  for (const Shape& shape : kShapes) {
    const int64_t c = shape[-1];
    for (const int64_t groups : {int64_t{1}, c % 2 == 0 ? c / 2 : c}) {
      EXPECT_EQ(gradcheck(
                    [groups](const std::vector<Tensor>& in) {
                      return group_norm(in[0], groups, in[1], in[2], kEps);
                    },
                    {normal(shape, "x"), normal({c}, "w"), normal({c}, "b")}),
                "")
          << shape.to_string() << " in " << groups;
    }
  }
}

TEST(InstanceNorm, Gradients) {
  for (const Shape& shape : {Shape{2, 3, 4}, Shape{1, 5, 3, 17}, Shape{3, 2, 1}}) {
    const int64_t c = shape[-1];
    EXPECT_EQ(
        gradcheck(
            [](const std::vector<Tensor>& in) { return instance_norm(in[0], in[1], in[2], kEps); },
            {normal(shape, "x"), normal({c}, "w"), normal({c}, "b")}),
        "");
  }
}

TEST(L2Normalize, GradientsAlongEveryDimension) {
  for (const Shape& shape : {Shape{7}, Shape{3, 4, 5}, Shape{2, 1, 19}, Shape{17, 2, 1}}) {
    for (int dim = -shape.rank(); dim < shape.rank(); ++dim) {
      EXPECT_EQ(gradcheck([dim](const std::vector<Tensor>& in) { return l2_normalize(in[0], dim); },
                          {normal(shape, "x")}),
                "");
      // below eps the length counts as eps
      EXPECT_EQ(
          gradcheck([dim](const std::vector<Tensor>& in) { return l2_normalize(in[0], dim, 100); },
                    {normal(shape, "x")}),
          "");
    }
  }
}

TEST(L2Normalize, ZerosStayZeros) {
  Tensor x = Tensor::zeros({2, 3}, DType::f32);
  require_grad(x);
  const Tensor y = l2_normalize(x, -1, 0.5);
  EXPECT_EQ(y.to_vector<float>(), std::vector<float>(6, 0.f));
  backward(y, Tensor::full({2, 3}, 1));
  EXPECT_EQ(grad(x).to_vector<float>(), std::vector<float>(6, 2.f));
}

TEST(BatchNorm, ReturnsMomentsForRunningEstimates) {
  const Tensor x = Tensor::from<double>({1, 10, 2, 20, 6, 30, 7, 40}, {2, 2, 2});
  const BatchNormResult r = batch_norm(x, {}, {});
  EXPECT_EQ(r.mean.to_vector<double>(), (std::vector<double>{4, 25}));
  EXPECT_NEAR(r.var.to_vector<double>()[0], 26.0 / 3, 1e-14);
  EXPECT_NEAR(r.var.to_vector<double>()[1], 500.0 / 3, 1e-13);
  EXPECT_NEAR(r.out.to_vector<double>()[0], -3 / std::sqrt(6.5 + 1e-5), 1e-14);

  const Tensor running = Tensor::from<float>({0, 5}, {2});
  update_running(running, r.mean, 0.1);
  EXPECT_FLOAT_EQ(running.to_vector<float>()[0], 0.4f);
  EXPECT_FLOAT_EQ(running.to_vector<float>()[1], 7.0f);
}

TEST(BatchNorm, BuffersMayMoveOnBeforeTheBackwardPass) {
  Tensor x = normal({4, 3}, "x");
  require_grad(x);
  const Tensor mean = Tensor::zeros({3}, DType::f64), var = Tensor::full({3}, 1, DType::f64);
  const Tensor y = batch_norm_with(x, mean, var, {}, {}, 0.0);
  update_running(var, Tensor::full({3}, 9, DType::f64), 1.0);
  backward(y, Tensor::full({4, 3}, 1, DType::f64));
  EXPECT_EQ(grad(x).to_vector<double>(), std::vector<double>(12, 1.0));
}

TEST(BatchNorm, Bf16ActivationsBesideF32Weights) {
  Tensor x = normal({3, 5, 33}, "x", DType::bf16), w = normal({33}, "w", DType::f32);
  require_grad(x);
  require_grad(w);
  const BatchNormResult r = batch_norm(x, w, {});
  EXPECT_EQ(r.out.dtype(), DType::bf16);
  EXPECT_EQ(r.mean.dtype(), DType::f32);
  backward(r.out, Tensor::full(r.out.shape(), 1, DType::bf16));
  EXPECT_EQ(grad(x).dtype(), DType::bf16);
  EXPECT_EQ(grad(w).dtype(), DType::f32);
}

TEST(ChannelNorm, NamesWhatDoesNotFit) {
  const Tensor x = normal({2, 3, 4}, "x");
  EXPECT_THROW(batch_norm(normal({1, 4}, "x"), {}, {}), Error);
  EXPECT_THROW(batch_norm(x, normal({3}, "w"), {}), Error);
  EXPECT_THROW(batch_norm_with(x, normal({3}, "m"), normal({4}, "v"), {}, {}), Error);
  EXPECT_THROW(batch_norm_with(x, {}, normal({4}, "v"), {}, {}), Error);
  EXPECT_THROW(group_norm(x, 3, {}, {}), Error);
  EXPECT_THROW(group_norm(x, 0, {}, {}), Error);
  EXPECT_THROW(instance_norm(normal({0, 3, 4}, "x"), {}, {}), Error);
  EXPECT_THROW(l2_normalize(testing::integers({2, 3}, 5, "i"), -1), Error);
}

}  // namespace
}  // namespace heed
