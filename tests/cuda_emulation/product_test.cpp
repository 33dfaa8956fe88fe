// What the library of products is asked for.
#include <gtest/gtest.h>

#include "core/views.h"
#include "kernels/cuda/provide.h"
#include "kernels/matmul/device_product.h"
#include "kernels/matmul/matmul.h"

namespace heed::kernels {
namespace {

constexpr Device kDevice{DeviceType::cuda, 0};

DeviceProduct last{};

/// The call for out = a b^T of these shapes, which is not carried out.
DeviceProduct call_for(const Shape& a, const Shape& b, const Shape& out) {
  product_cuda.provide([](const DeviceProduct& p) {
    last = p;
    return true;
  });
  const auto there = [](const Shape& shape) { return Tensor::empty(shape, DType::bf16, kDevice); };
  gemm(there(a), views::transpose(there(b), -2, -1), there(out));
  cuda::provide_product();
  return last;
}

// A stride of the batch counts against the alignment that a kernel is chosen by.
TEST(DeviceProduct, OneHasNoStrides) {
  for (const Shape& batch : {Shape{}, Shape{1}}) {
    const auto of = [&](int64_t rows, int64_t columns) {
      Shape shape = batch;
      shape.push_back(rows);
      shape.push_back(columns);
      return shape;
    };
    const DeviceProduct p = call_for(of(64, 32), of(16, 32), of(64, 16));
    EXPECT_EQ(p.batch, 1);
    EXPECT_EQ(p.a_stride, 0);
    EXPECT_EQ(p.b_stride, 0);
    EXPECT_EQ(p.c_stride, 0);
  }
  const DeviceProduct many = call_for({3, 64, 32}, {3, 16, 32}, {3, 64, 16});
  EXPECT_EQ(many.batch, 3);
  EXPECT_EQ(many.a_stride, 64 * 32);
  EXPECT_EQ(many.b_stride, 16 * 32);
  EXPECT_EQ(many.c_stride, 64 * 16);
}

}  // namespace
}  // namespace heed::kernels
