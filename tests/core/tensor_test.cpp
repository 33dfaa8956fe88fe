#include "core/tensor.h"

#include <gtest/gtest.h>

#include "core/views.h"

namespace heed {
namespace {

TEST(Tensor, HandlesShareViewsAlias) {
  const Tensor x = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor t = views::transpose(x, 0, 1);
  x.data<float>()[1] = 10;
  EXPECT_EQ(t.to_vector<float>(), (std::vector<float>{0, 3, 10, 4, 2, 5}));
  EXPECT_FALSE(t.is_contiguous());
  EXPECT_EQ(views::select(t, 0, -1).to_vector<float>(), (std::vector<float>{2, 5}));
}

TEST(Tensor, ExtentsWhoseProductOverflowsAreRefused) {
  const int64_t large = int64_t{1} << 32;
  EXPECT_THROW(Tensor::empty({large, large}), Error);  // 2^64 elements are 0 to 64 bits
  EXPECT_THROW(Tensor::empty({large, 0, large}), Error);
  EXPECT_THROW(Tensor::empty({int64_t{1} << 61}), Error);  // elements can be counted, bytes not
  EXPECT_EQ(Tensor::empty({large, 0}).numel(), 0);
}

TEST(Tensor, ReshapeOfStridedMemoryIsAViewOnlyWhenItCanBe) {
  const Tensor x = Tensor::zeros({2, 3, 4});
  const Tensor heads = views::permute(x, {1, 0, 2});
  Shape strides;
  EXPECT_TRUE(views::can_reshape(views::slice(x, 2, 0, 2), {2, 3, 2, 1}, &strides));
  EXPECT_TRUE(views::can_reshape(views::slice(x, 2, 0, 2), {6, 2}, &strides));
  EXPECT_FALSE(views::can_reshape(views::slice(x, 2, 0, 2), {12}, &strides));
  EXPECT_FALSE(views::can_reshape(heads, {6, 4}, &strides));
  EXPECT_TRUE(views::can_reshape(heads, {3, 2, 2, 2}, &strides));
  EXPECT_EQ(strides, (Shape{4, 12, 2, 1}));
}

TEST(Tensor, ReadingAsAnotherTypeThrows) {
  const Tensor x = Tensor::zeros({2});
  EXPECT_THROW(x.data<double>(), Error);
  EXPECT_THROW(Tensor().shape(), Error);
  EXPECT_THROW(Tensor::from<float>({1, 2}, {3}), Error);
}

TEST(Allocator, ReusesBlocksAndKnowsItsPeak) {
  const int64_t before = allocator::stats().in_use_bytes;
  allocator::reset_peak();
  { const Tensor x = Tensor::empty({1000}); }
  [[maybe_unused]] const int64_t calls = allocator::stats().system_calls;
  { const Tensor x = Tensor::empty({1000}); }
#if !defined(__SANITIZE_ADDRESS__)  // which frees every block, to see it used afterwards
  EXPECT_EQ(allocator::stats().system_calls, calls);
#endif
  EXPECT_EQ(allocator::stats().in_use_bytes, before);
  EXPECT_GE(allocator::stats().peak_bytes, before + 4000);
}

}  // namespace
}  // namespace heed
