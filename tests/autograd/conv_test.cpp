#include "autograd/ops/conv.h"

#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::normal;
using Tensors = std::vector<Tensor>;

struct Case {
  Shape x, weight;
  ConvOptions options;
};

TEST(Conv, Gradcheck) {
  for (const auto& [x, weight, options] : std::vector<Case>{
           {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
           {{2, 4, 5, 3}, {2, 3, 2, 3}, {.stride = {2, 1}, .padding = {1, 1}}},
           {{1, 7, 7, 4}, {6, 3, 3, 2}, {.padding = {2}, .dilation = {2}, .groups = 2}},
           {{2, 5, 5, 3}, {3, 3, 3, 1}, {.padding = {1}, .groups = 3}},
           {{2, 11, 3}, {4, 3, 3}, {.stride = {2}, .padding = {2}}},
           {{1, 3, 4, 4, 2}, {3, 2, 3, 1, 2}, {.padding = {1, 1, 0}}},
       }) {
    EXPECT_EQ(gradcheck([&](const Tensors& t) { return conv(t[0], t[1], t[2], options); },
                        {normal(x, "1"), normal(weight, "2"), normal({weight[0]}, "3")}),
              "")
        << x.to_string();
    EXPECT_EQ(gradcheck([&](const Tensors& t) { return conv(t[0], t[1], {}, options); },
                        {normal(x, "1"), normal(weight, "2")}),
              "");
  }
}

TEST(ConvTranspose, Gradcheck) {
  const std::vector<Case> cases = {
      {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
      {{2, 3, 4, 3}, {3, 2, 2, 5}, {.stride = {2}}},
      {{1, 3, 3, 4},
       {4, 3, 3, 3},
       {.stride = {2}, .padding = {1}, .groups = 2, .output_padding = {1}}},
      {{2, 5, 3}, {3, 4, 2}, {.stride = {3}, .padding = {1}}},
  };
  for (const auto& [x, weight, options] : cases) {
    const int64_t channels = weight[-1] * options.groups;
    EXPECT_EQ(gradcheck([&](const Tensors& t) { return conv_transpose(t[0], t[1], t[2], options); },
                        {normal(x, "4"), normal(weight, "5"), normal({channels}, "6")}),
              "")
        << x.to_string();
  }
}

TEST(ConvTranspose, DoublesTheSizeWithATwoByTwoKernel) {
  const Tensor x = Tensor::full({1, 2, 2, 1}, 1.0),
               weight = Tensor::from<float>({1, 2, 3, 4}, {1, 2, 2, 1});
  const Tensor y = conv_transpose(x, weight, {}, {.stride = {2}});
  EXPECT_EQ(y.shape(), (Shape{1, 4, 4, 1}));
  EXPECT_EQ(y.to_vector<float>(),
            (std::vector<float>{1, 2, 1, 2, 3, 4, 3, 4, 1, 2, 1, 2, 3, 4, 3, 4}));
}

}  // namespace
}  // namespace heed
