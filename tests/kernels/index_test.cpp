#include "kernels/index/index.h"

#include <gtest/gtest.h>

#include "core/parallel.h"
#include "core/views.h"
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

}  // namespace
}  // namespace heed::kernels
