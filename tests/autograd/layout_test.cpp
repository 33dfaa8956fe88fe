#include "autograd/ops/layout.h"

#include <numeric>

#include "autograd/ops/conv.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;
using Values = std::vector<double>;

Tensor counting(const Shape& shape) {
  Values values(static_cast<size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), 0.0);
  return Tensor::from(values, shape);
}

TEST(LayoutOps, Pad) {
  const std::vector<PadWidth> widths = {{0, 1, 2}, {-1, 2, 0}};
  for (const PadMode mode : {PadMode::constant, PadMode::replicate, PadMode::reflect}) {
    expect_gradients([&](const Inputs& x) { return pad(x[0], widths, mode, 1.5); },
                     {strided({3, 2, 4})});
    for (const Shape& shape : {Shape{5}, Shape{7, 1}, Shape{3, 1, 17}}) {
      expect_gradients(
          [&](const Inputs& x) {
            return pad(x[0], {{0, 2, 1}}, mode);
          },
          {uniform(shape)});
    }
  }
  const Tensor x = counting({3});
  EXPECT_EQ(pad(x, {{0, 1, 2}}, PadMode::constant, -7).to_vector<double>(),
            (Values{-7, 0, 1, 2, -7, -7}));
  EXPECT_EQ(pad(x, {{0, 2, 1}}, PadMode::replicate).to_vector<double>(),
            (Values{0, 0, 0, 1, 2, 2}));
  EXPECT_EQ(pad(x, {{0, 2, 1}}, PadMode::reflect).to_vector<double>(), (Values{2, 1, 0, 1, 2, 1}));
  EXPECT_TRUE(pad(x, {{0, 0, 0}}).is_same(x));
  EXPECT_THROW(pad(x, {{0, 3, 0}}, PadMode::reflect), Error);
  EXPECT_THROW(pad(x, {{0, -1, 0}}), Error);
  EXPECT_THROW(pad(x, {{1, 1, 0}}), Error);
}

TEST(LayoutOps, RollAndFlip) {
  for (const int64_t shift : {-4, 0, 1, 7}) {
    for (const Shape& shape : {Shape{3, 2, 5}, Shape{1, 7}, Shape{17, 1}}) {
      expect_gradients(
          [&](const Inputs& x) {
            return roll(x[0], {shift, 1}, {0, -1});
          },
          {strided(shape)});
    }
  }
  for (const Shape& shape : {Shape{3, 2, 5}, Shape{1, 7}, Shape{17, 1}}) {
    expect_gradients([](const Inputs& x) { return flip(x[0], {0, -1}); }, {strided(shape)});
  }
  expect_gradients([](const Inputs& x) { return roll(x[0], {1}, {1}); }, {uniform({3, 0})});
  EXPECT_EQ(roll(counting({5}), {2}, {0}).to_vector<double>(), (Values{3, 4, 0, 1, 2}));
  EXPECT_EQ(roll(counting({5}), {-1}, {0}).to_vector<double>(), (Values{1, 2, 3, 4, 0}));
  EXPECT_EQ(flip(counting({2, 3}), {1}).to_vector<double>(), (Values{2, 1, 0, 5, 4, 3}));
  EXPECT_THROW(roll(counting({5}), {2}, {0, 1}), Error);
}

TEST(LayoutOps, Repeat) {
  expect_gradients([](const Inputs& x) { return repeat(x[0], {2, 1, 3}); }, {strided({3, 2, 5})});
  EXPECT_EQ(repeat(counting({1, 2}), {2, 2}).to_vector<double>(), (Values{0, 1, 0, 1, 0, 1, 0, 1}));
  EXPECT_THROW(repeat(counting({2}), {0}), Error);
  EXPECT_THROW(repeat(counting({2}), {1, 2}), Error);
}

TEST(LayoutOps, OneHotVectors) {
  const Tensor ids = Tensor::from<int64_t>({2, 0}, {2});
  EXPECT_EQ(one_hot(ids, 3).to_vector<float>(), (std::vector<float>{0, 0, 1, 1, 0, 0}));
  EXPECT_EQ(one_hot(ids, 3, DType::bf16).shape(), (Shape{2, 3}));
  EXPECT_THROW(one_hot(ids, 2), Error);
  EXPECT_THROW(one_hot(counting({2}), 2), Error);
}

TEST(LayoutOps, PixelShuffle) {
  expect_gradients([](const Inputs& x) { return pixel_shuffle(x[0], 2); }, {strided({2, 3, 1, 8})});
  expect_gradients([](const Inputs& x) { return pixel_unshuffle(x[0], 3); },
                   {strided({1, 3, 6, 2})});
  // PyTorch's result for channels 0 ... 7 of one row of two pixels, seen channels last
  const Tensor x = permute(counting({1, 8, 1, 2}), {0, 2, 3, 1});
  const Tensor y = pixel_shuffle(x, 2);
  EXPECT_EQ(y.to_vector<double>(), (Values{0, 8, 2, 10, 1, 9, 3, 11, 4, 12, 6, 14, 5, 13, 7, 15}));
  EXPECT_EQ(pixel_unshuffle(y, 2).to_vector<double>(), x.to_vector<double>());
  EXPECT_THROW(pixel_shuffle(counting({1, 1, 1, 6}), 2), Error);
}

TEST(LayoutOps, Windows) {
  expect_gradients(
      [](const Inputs& x) {
        return window_partition(x[0], {2, 3});
      },
      {strided({2, 4, 6, 3})});
  expect_gradients(
      [](const Inputs& x) {
        return window_reverse(x[0], {2, 3}, {4, 6});
      },
      {strided({2, 4, 6, 3})});
  const Tensor x = counting({1, 2, 4, 1});
  EXPECT_EQ(window_partition(x, {2}).to_vector<double>(), (Values{0, 1, 4, 5, 2, 3, 6, 7}));
  for (const auto& [shape, window] : {std::pair<Shape, Shape>{{2, 6, 3}, {3}},
                                      {{2, 4, 6, 3}, {2, 3}},
                                      {{1, 2, 4, 6, 3}, {1, 2, 3}}}) {
    const Tensor image = counting(shape);
    Shape spatial = shape;
    spatial.erase(0);
    spatial.erase(spatial.rank() - 1);
    const Tensor back = window_reverse(window_partition(image, window), window, spatial);
    EXPECT_EQ(back.shape(), shape);
    EXPECT_EQ(back.to_vector<double>(), image.to_vector<double>());
  }
  EXPECT_THROW(window_partition(x, {3}), Error);
  EXPECT_THROW(window_reverse(x, {2}, {4, 4}), Error);
}

struct PatchCase {
  Shape x;
  PatchOptions options;
};

std::vector<PatchCase> patch_cases() {
  return {{{2, 7, 3}, {.kernel = {3}, .stride = {2}, .padding = {1}}},
          {{1, 5, 6, 2}, {.kernel = {3, 2}, .stride = {1, 2}, .padding = {1, 0}}},
          {{2, 7, 5, 3}, {.kernel = {2}, .stride = {1}, .padding = {1}, .dilation = {2}}},
          {{1, 3, 4, 5, 2}, {.kernel = {2}, .stride = {2}, .padding = {1}}}};
}

// A convolution is the product of its weight with the patches, and fold is the adjoint of unfold.
TEST(LayoutOps, UnfoldAndFold) {
  for (const auto& [shape, options] : patch_cases()) {
    const auto take = [&o = options](const Inputs& in) { return unfold(in[0], o); };
    expect_gradients(take, {strided(shape)});
    const Tensor x = uniform(shape), patches = unfold(x, options);
    const int64_t columns = patches.size(-1), channels = shape[-1];
    const Tensor weight = uniform({4, columns});
    Shape kernel = {4}, spatial;
    for (int d = 0; d + 2 < shape.rank(); ++d) {
      kernel.push_back(options.kernel[options.kernel.rank() == 1 ? 0 : d]);
      spatial.push_back(shape[d + 1]);
    }
    kernel.push_back(channels);
    const Tensor want =
        conv(x, reshape(weight, kernel), {},
             {.stride = options.stride, .padding = options.padding, .dilation = options.dilation});
    const Tensor got = linear(patches, weight);
    ASSERT_EQ(got.shape(), want.shape());
    const auto a = got.to_vector<double>(), b = want.to_vector<double>();
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12);

    const Tensor other = uniform(patches.shape(), -2, 2, 5);
    const auto put = [&o = options, &spatial](const Inputs& in) { return fold(in[0], spatial, o); };
    expect_gradients(put, {other});
    EXPECT_NEAR(sum(mul(patches, other)).item(), sum(mul(x, fold(other, spatial, options))).item(),
                1e-10);
  }
  EXPECT_THROW(unfold(uniform({1, 2, 1}), {.kernel = {3}}), Error);
  EXPECT_THROW(fold(uniform({1, 2, 3}), {5}, {.kernel = {3}}), Error);
}

}  // namespace
}  // namespace heed
