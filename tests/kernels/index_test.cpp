#include "kernels/index/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/index/along.h"
#include "tests/samples.h"

namespace heed::kernels {
namespace {

using testing::integers;
using testing::normal;

TEST(TakeBackward, AddsRowsInOrderOfPosition) {
  for (const int64_t vocabulary : {1, 65, 10007}) {
    for (const int64_t width : {1, 7, 40}) {
      const int64_t count = 501;
      const Tensor ids = integers({count}, vocabulary, "ids");
      const Tensor dy = normal({count, width}, "dy", DType::f32);
      std::vector<float> expected(static_cast<size_t>(vocabulary * width));
      for (int64_t k = 0; k < count; ++k) {
        for (int64_t c = 0; c < width; ++c) {
          expected[static_cast<size_t>(ids.data<int64_t>()[k] * width + c)] +=
              dy.data<float>()[k * width + c];
        }
      }
      const int before = thread_count();
      for (const int threads : {1, 2, 3}) {
        set_thread_count(threads);
        const Tensor dw = take_backward(dy, 0, ids, {vocabulary, width}, DType::f32, "embedding");
        EXPECT_EQ(dw.to_vector<float>(), expected);
      }
      set_thread_count(before);
    }
  }
}

TEST(Take, KeepsEveryType) {
  const Tensor x = Tensor::from<int64_t>({0, 1, 2, 3, 4, 5}, {3, 2});
  const Tensor index = Tensor::from<int32_t>({2, 0, 2, 1}, {2, 2});
  const Tensor y = take(x, 0, index, DType::i64, "take");
  EXPECT_EQ(y.shape(), (Shape{2, 2, 2}));
  EXPECT_EQ(y.to_vector<int64_t>(), (std::vector<int64_t>{4, 5, 0, 1, 4, 5, 2, 3}));
  const Tensor z = take(views::transpose(x, 0, 1), 1, index, DType::i64, "take");
  EXPECT_EQ(z.to_vector<int64_t>(), (std::vector<int64_t>{4, 0, 4, 2, 5, 1, 5, 3}));
}

// Sums in order of position, element by element: exactly, on one to three threads.
TEST(ScatterAddAlong, AddsInOrderOfPosition) {
  for (const Shape& shape : {Shape{3, 17, 131}, Shape{1, 1009, 1}, Shape{40, 5, 3}}) {
    for (int dim = 0; dim < 3; ++dim) {
      Shape more = shape;
      more[dim] = 300;
      const Tensor index = integers(more, shape[dim], "index");
      const auto ids = index.to_vector<int64_t>();
      int64_t inner = 1;
      for (int i = dim + 1; i < 3; ++i) inner *= shape[i];
      for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
        const Tensor base = normal(shape, "base", dtype), values = normal(more, "values", dtype);
        const auto target = [&](size_t at) {
          const int64_t i = static_cast<int64_t>(at);
          return static_cast<size_t>((i / (300 * inner) * shape[dim] + ids[at]) * inner +
                                     i % inner);
        };
        const auto add = [&](auto sums) {
          const auto terms = values.to_vector<typename decltype(sums)::value_type>();
          for (size_t at = 0; at < terms.size(); ++at) sums[target(at)] += terms[at];
          return std::vector<double>(sums.begin(), sums.end());
        };
        std::vector<double> expected =
            dtype == DType::f64 ? add(base.to_vector<double>()) : add(base.to_vector<float>());
        if (dtype == DType::bf16) {
          for (double& e : expected) e = float(bfloat16(float(e)));
        }
        const int before = thread_count();
        for (const int threads : {1, 2, 3}) {
          set_thread_count(threads);
          EXPECT_EQ(scatter_add_along(base, shape, dim, index, values, "test").to_vector<double>(),
                    expected);
        }
        set_thread_count(before);
      }
    }
  }
}

// One id for a whole row, expanded, is the same as that id for each of its elements.
TEST(Along, AnExpandedIndexIsReadOnceARow) {
  for (const Shape& rest : {Shape{1, 1}, Shape{7, 1}, Shape{3, 67}}) {
    const Tensor ids = integers({5, 40, 1, 1}, 11, "ids");
    const Shape whole{5, 40, rest[0], rest[1]};
    const Tensor expanded = views::expand(ids, whole), each = contiguous(expanded);
    EXPECT_EQ(one_id_a_row(expanded, 1).numel(), 200);
    EXPECT_EQ(one_id_a_row(each, 1).numel(), each.numel());
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const Tensor x = normal({5, 11, rest[0], rest[1]}, "x", dtype);
      const Tensor values = normal(whole, "values", dtype);
      EXPECT_EQ(gather_along(x, 1, expanded, "test").to_vector<float>(),
                gather_along(x, 1, each, "test").to_vector<float>());
      EXPECT_EQ(scatter_add_along(x, x.shape(), 1, expanded, values, "test").to_vector<float>(),
                scatter_add_along(x, x.shape(), 1, each, values, "test").to_vector<float>());
    }
  }
  // Expanded over a part of the row alone: an id for each column.
  const Tensor columns = views::expand(integers({2, 3, 1, 4}, 5, "columns"), {2, 3, 6, 4});
  const Tensor x = normal({2, 5, 6, 4}, "x", DType::f32);
  EXPECT_EQ(gather_along(x, 1, columns, "test").to_vector<float>(),
            gather_along(x, 1, contiguous(columns), "test").to_vector<float>());
  const Tensor wrong = views::expand(Tensor::from<int64_t>({1, 5}, {1, 2, 1}), {1, 2, 8});
  EXPECT_ANY_THROW(gather_along(normal({1, 5, 8}, "x", DType::f32), 1, wrong, "test"));
}

TEST(PutRows, LaterRowsWinOnAnyThreadCount) {
  const Tensor x = normal({7, 301, 13}, "x", DType::bf16);
  const Tensor index = integers({500}, 301, "index"),
               values = normal({7, 500, 13}, "v", DType::bf16);
  auto expected = x.to_vector<float>();
  const auto rows = values.to_vector<float>();
  for (size_t o = 0; o < 7; ++o) {
    for (size_t k = 0; k < 500; ++k) {
      const size_t to = (o * 301 + size_t(index.data<int64_t>()[k])) * 13;
      std::copy_n(rows.begin() + std::ptrdiff_t((o * 500 + k) * 13), 13,
                  expected.begin() + std::ptrdiff_t(to));
    }
  }
  const int before = thread_count();
  for (const int threads : {1, 3}) {
    set_thread_count(threads);
    EXPECT_EQ(put_rows(x, 1, index, values, "test").to_vector<float>(), expected);
  }
  set_thread_count(before);
}

}  // namespace
}  // namespace heed::kernels
