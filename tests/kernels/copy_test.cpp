#include "kernels/copy/copy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/parallel.h"
#include "core/views.h"

namespace heed::kernels {
namespace {

// 0, 1, 2, ... modulo 251, in any dtype.
Tensor counting(const Shape& shape, DType dtype) {
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 251);
  return cast(Tensor::from(values, shape), dtype);
}

const std::vector<DType>& dtypes() {
  static const std::vector<DType> all = {DType::f32, DType::bf16, DType::f16, DType::f64,
                                         DType::i32, DType::i64,  DType::u8};
  return all;
}

TEST(Copy, EveryPairOfDtypes) {
  for (const DType from : dtypes()) {
    for (const DType to : dtypes()) {
      // integers up to 250 are exact in all of them
      const Tensor x = counting({3, 101}, from);
      const Tensor y = cast(x, to);
      EXPECT_EQ(y.dtype(), to);
      EXPECT_EQ(y.to_vector<double>(), x.to_vector<double>()) << name_of(from) << name_of(to);
      EXPECT_EQ(y.is_same(x), from == to);
    }
    EXPECT_EQ(cast(Tensor::from<float>({0, 2, -1}, {3}), DType::boolean).to_vector<double>(),
              (std::vector<double>{0, 1, 1}));
  }
}

TEST(Copy, EveryLayout) {
  const Shape shape = {3, 37, 2, 41};
  const std::vector<std::vector<int>> orders = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 2, 3},
                                                {0, 3, 2, 1}, {2, 0, 3, 1}, {0, 2, 1, 3}};
  for (const DType dtype : dtypes()) {
    for (const std::vector<int>& from : orders) {
      for (const std::vector<int>& to : orders) {
        const Tensor src = views::permute(counting(shape, dtype), from);
        // dst has the logical shape of src and memory in another order
        Shape memory = src.shape();
        std::vector<int> back(4);
        for (int i = 0; i < 4; ++i) {
          memory[i] = src.shape()[to[static_cast<size_t>(i)]];
          back[static_cast<size_t>(to[static_cast<size_t>(i)])] = i;
        }
        const Tensor dst = views::permute(Tensor::empty(memory, dtype), back);
        copy(src, dst);
        ASSERT_EQ(dst.to_vector<double>(), src.to_vector<double>());
      }
    }
  }
}

TEST(Copy, BroadcastsAndLeavesTheRestAlone) {
  const Tensor dst = Tensor::zeros({4, 6});
  copy(Tensor::from<float>({1, 2, 3}, {3}), views::slice(dst, 1, 0, 6, 2));
  EXPECT_EQ(views::select(dst, 0, 3).to_vector<float>(), (std::vector<float>{1, 0, 2, 0, 3, 0}));
  copy(Tensor::scalar(7.0), views::select(dst, 1, 5));
  EXPECT_EQ(views::select(dst, 0, 0).to_vector<float>(), (std::vector<float>{1, 0, 2, 0, 3, 7}));
  fill(views::slice(dst, 0, 1, 3), -1.0);
  EXPECT_EQ(views::select(dst, 1, 0).to_vector<float>(), (std::vector<float>{1, -1, -1, 1}));
  EXPECT_THROW(copy(Tensor::zeros({3}), Tensor::zeros({4})), Error);
  EXPECT_THROW(copy(Tensor::zeros({2, 4}), Tensor::zeros({4})), Error);
}

TEST(Copy, EmptyAndSingleElements) {
  copy(Tensor::zeros({0, 3}), Tensor::zeros({0, 3}));
  const Tensor one = Tensor::zeros({1, 1, 1});
  copy(Tensor::scalar(2.0f), one);
  EXPECT_EQ(one.item(), 2.0);
  EXPECT_EQ(contiguous(views::transpose(Tensor::zeros({0, 3}), 0, 1)).shape(), (Shape{3, 0}));
}

// Every element size, at lengths about a vector's, a block's and beyond them.
TEST(Copy, TransposesEverySizeOfElements) {
  for (const DType dtype : {DType::u8, DType::bf16, DType::f32, DType::f64}) {
    for (const int64_t rows : {1, 3, 15, 17, 66, 259}) {
      for (const int64_t columns : {1, 2, 7, 16, 31, 67, 129}) {
        std::vector<int64_t> values(static_cast<size_t>(2 * rows * (columns + 1)));
        for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int64_t>(i * 31 % 251);
        const Tensor stored = cast(Tensor::from(values, {2, columns + 1, rows}), dtype);
        const Tensor x = views::transpose(views::slice(stored, 1, 1, columns + 1), 1, 2);
        const std::vector<int64_t> y = contiguous(x).to_vector<int64_t>();
        for (int64_t b = 0; b < 2; ++b) {
          for (int64_t r = 0; r < rows; ++r) {
            for (int64_t c = 0; c < columns; ++c) {
              ASSERT_EQ(y[static_cast<size_t>((b * rows + r) * columns + c)],
                        values[static_cast<size_t>((b * (columns + 1) + c + 1) * rows + r)])
                  << name_of(dtype) << " " << rows << " x " << columns << " at " << r << ", " << c;
            }
          }
        }
      }
    }
  }
}

TEST(Copy, BumpsTheVersion) {
  const Tensor dst = Tensor::zeros({2});
  const uint64_t version = dst.version();
  copy(Tensor::zeros({2}), dst);
  EXPECT_GT(dst.version(), version);
}

TEST(Copy, FloatsSaturateAsIntegers) {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor x = Tensor::from<double>({inf, -inf, NAN, 1e30, -1e30, -0.9, 255.9, 256.0}, {8});
  EXPECT_EQ(cast(x, DType::u8).to_vector<int64_t>(),
            (std::vector<int64_t>{255, 0, 0, 255, 0, 0, 255, 255}));
  EXPECT_EQ(cast(x, DType::i32).to_vector<int64_t>(),
            (std::vector<int64_t>{INT32_MAX, INT32_MIN, 0, INT32_MAX, INT32_MIN, 0, 255, 256}));
  EXPECT_EQ(cast(x, DType::i64).to_vector<int64_t>(),
            (std::vector<int64_t>{INT64_MAX, INT64_MIN, 0, INT64_MAX, INT64_MIN, 0, 255, 256}));
}

TEST(Copy, Bfloat16RoundsToNearestEvenOnEveryLength) {
  for (int64_t n = 0; n < 70; ++n) {
    std::vector<float> values(static_cast<size_t>(n));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = std::ldexp(1.0f + 0x1p-9f * static_cast<float>(i * 37 % 64), static_cast<int>(i));
    }
    const Tensor y = cast(Tensor::from(values, {n}), DType::bf16);
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(y.data<bfloat16>()[i].bits, bfloat16(values[i]).bits);
    }
  }
}

TEST(Copy, LargeCopiesOnAnyNumberOfThreads) {
  const Tensor x = counting({257, 3, 511}, DType::f32);
  const std::vector<float> expected = views::permute(x, {2, 0, 1}).to_vector<float>();
  const int threads = thread_count();
  for (const int t : {1, 2, 3}) {
    set_thread_count(t);
    EXPECT_EQ(contiguous(views::permute(x, {2, 0, 1})).to_vector<float>(), expected);
    EXPECT_EQ(cast(views::permute(x, {2, 0, 1}), DType::bf16).to_vector<float>(), expected);
  }
  set_thread_count(threads);
}

}  // namespace
}  // namespace heed::kernels
