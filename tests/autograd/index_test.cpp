#include "autograd/ops/index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "core/views.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::integers;
using testing::normal;

TEST(Embedding, Gradients) {
  for (const int64_t width : {1, 5, 16}) {
    const Tensor ids = integers({3, 4}, 7, "ids");
    EXPECT_EQ(
        gradcheck([&](const std::vector<Tensor>& in) { return embedding(in[0], ids, DType::f64); },
                  {normal({7, width}, "w")}),
        "");
  }
}

TEST(Embedding, RowsAreRoundedToTheWantedType) {
  const Tensor w = normal({7, 5}, "w", DType::f32);
  const Tensor ids = Tensor::from<int32_t>({6, 0}, {1, 2});
  const Tensor y = embedding(w, ids, DType::bf16);
  EXPECT_EQ(y.to_string(), "bf16[1, 2, 5]");
  for (int64_t c = 0; c < 5; ++c) {
    EXPECT_EQ(float(y.data<bfloat16>()[c]), float(bfloat16(w.data<float>()[30 + c])));
    EXPECT_EQ(float(y.data<bfloat16>()[5 + c]), float(bfloat16(w.data<float>()[c])));
  }
}

TEST(Embedding, BadIdIsNamedWithItsPlace) {
  const Tensor ids = Tensor::from<int64_t>({0, 1, -1, 2}, {2, 2});
  try {
    embedding(normal({7, 3}, "w"), ids);
    FAIL() << "id -1 was taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("index -1 at position [1, 0] is outside [0, 7)"));
  }
  EXPECT_THROW(embedding(normal({7, 3}, "w"), normal({2}, "ids")), Error);
}

TEST(IndexSelect, GradientsAlongEveryDimension) {
  for (int dim = -3; dim < 3; ++dim) {
    const Shape shape{3, 4, 5};
    const Tensor index = integers({6}, shape[dim], "index");
    EXPECT_EQ(
        gradcheck([&](const std::vector<Tensor>& in) { return index_select(in[0], dim, index); },
                  {normal(shape, "x")}),
        "");
  }
}

TEST(IndexSelect, TakesFromStridedMemory) {
  const Tensor x = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor index = Tensor::from<int64_t>({2, 0, 2}, {3});
  EXPECT_EQ(index_select(x, 1, index).to_vector<float>(), (std::vector<float>{2, 0, 2, 5, 3, 5}));
  EXPECT_EQ(index_select(views::transpose(x, 0, 1), 0, index).to_vector<float>(),
            (std::vector<float>{2, 5, 0, 3, 2, 5}));
  EXPECT_THROW(index_select(x, 0, index), Error);
}

}  // namespace
}  // namespace heed
