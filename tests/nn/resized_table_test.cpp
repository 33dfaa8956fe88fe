#include "nn/resized_table.h"

#include <gtest/gtest.h>

#include "autograd/ops/view.h"
#include "nn/layers/relative_position.h"
#include "nn/models/pyramid.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::random_tensor;

TEST(ResizedRows, KeepWhatNeedsNoChange) {
  const Tensor table = random_tensor({1 + 9, 4}, "table");
  const Tensor same = resized_rows(table, 1, 3, 3);
  ASSERT_EQ(same.shape(), table.shape());
  EXPECT_TRUE(bitwise_equal(slice(same, 0, 0, 1), slice(table, 0, 0, 1)));
  const auto a = same.to_vector<float>(), b = table.to_vector<float>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6);
  const Tensor larger = resized_rows(table, 1, 5, 2);
  EXPECT_EQ(larger.shape(), (Shape{11, 4}));
  EXPECT_TRUE(bitwise_equal(slice(larger, 0, 0, 1), slice(table, 0, 0, 1)));
}

TEST(ResizedRows, OfEqualRowsAreEqualRows) {
  // The weights of a cubic sum to 1.
  const Tensor rows = resized_rows(Tensor::full({16, 2}, 3.0, DType::f32), 0, 7, 5);
  for (const float value : rows.to_vector<float>()) EXPECT_NEAR(value, 3.0f, 1e-5f);
}

TEST(ResizedRows, WantASquare) {
  EXPECT_FALSE(resized_rows(random_tensor({10, 4}, "table"), 0, 3, 3).defined());
  EXPECT_FALSE(resized_rows(random_tensor({9, 4}, "table"), 1, 3, 3).defined());
  EXPECT_FALSE(resized_rows(random_tensor({1, 4}, "table"), 1, 3, 3).defined());
}

TEST(ResizesTables, EveryModuleWithSuchATable) {
  const WindowPosition window({.heads = 2, .height = 4, .width = 3});
  EXPECT_EQ(window.resized_table("table", random_tensor({25, 2}, "t")).shape(), (Shape{35, 2}));
  EXPECT_FALSE(window.resized_table("other", random_tensor({25, 2}, "t")).defined());

  const Config config = parse_yaml(
      "{height: 16, width: 8, channels: 1, classes: 2, depths: [1], dims: [8], heads: [2], patch: "
      "4, "
      "position: learned}",
      "t");
  const auto pyramid = find_module("pyramid", "model").make(config);
  const auto& resizes = dynamic_cast<const ResizesTables&>(*pyramid);
  EXPECT_EQ(resizes.resized_table("position", random_tensor({1, 3, 5, 8}, "t")).shape(),
            (Shape{1, 4, 2, 8}));
}

}  // namespace
}  // namespace heed::nn
