#include "autograd/ops/index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/gradcheck.h"
#include "core/views.h"
#include "kernels/index/index.h"
#include "tests/samples.h"

namespace heed {
namespace {

using testing::integers;
using testing::normal;

TEST(Embedding, Gradients) {
  for (const int64_t width : {1, 5, 16}) {
    for (const Shape& shape : {Shape{3, 4}, Shape{1}, Shape{2, 1, 5}}) {
      const Tensor ids = integers(shape, 7, "ids");
      EXPECT_EQ(
          gradcheck(
              [&](const std::vector<Tensor>& in) { return embedding(in[0], ids, DType::f64); },
              {normal({7, width}, "w")}),
          "");
    }
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
  for (const Shape& shape : {Shape{3, 4, 5}, Shape{1, 7, 1}}) {
    for (int dim = -3; dim < 3; ++dim) {
      const Tensor index = integers({6}, shape[dim], "index");
      EXPECT_EQ(
          gradcheck([&](const std::vector<Tensor>& in) { return index_select(in[0], dim, index); },
                    {normal(shape, "x")}),
          "");
    }
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

std::string message_of(const std::function<void()>& fn) {
  try {
    fn();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// An index for gather and its like: x's shape, `extent` along dim.
Tensor index_along(Shape shape, int dim, int64_t extent) {
  const int64_t n = shape[dim];
  shape[dim] = extent;
  return integers(shape, n, "index");
}

TEST(Gather, GradientsAlongEveryDimension) {
  for (const Shape& shape : {Shape{3, 4, 5}, Shape{1, 7}, Shape{6}, Shape{2, 1, 1, 3}}) {
    for (int dim = -shape.rank(); dim < shape.rank(); ++dim) {
      for (const int64_t extent : {1, 5}) {
        const Tensor index = index_along(shape, dim, extent);
        const Tensor source = normal(index.shape(), "s");
        EXPECT_EQ(
            gradcheck([&](const std::vector<Tensor>& in) { return gather(in[0], dim, index); },
                      {normal(shape, "x")}),
            "");
        EXPECT_EQ(gradcheck(
                      [&](const std::vector<Tensor>& in) {
                        return scatter_add(in[0], dim, index, in[1]);
                      },
                      {normal(shape, "x"), source}),
                  "");
        for (const double eps : {0.0, 0.5}) {
          EXPECT_EQ(gradcheck(
                        [&](const std::vector<Tensor>& in) {
                          return scatter_mean(in[0], dim, index, shape[dim], eps);
                        },
                        {source}),
                    "");
        }
      }
    }
  }
}

TEST(Gather, TakesAlongAnAxisAndBack) {
  const Tensor x = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor index = Tensor::from<int32_t>({2, 2, 0, 1}, {2, 2});
  EXPECT_EQ(gather(x, 1, index).to_vector<float>(), (std::vector<float>{2, 2, 3, 4}));
  const Tensor source = Tensor::from<float>({1, 2, 4, 8}, {2, 2});
  EXPECT_EQ(scatter_add(x, -1, index, source).to_vector<float>(),
            (std::vector<float>{0, 1, 5, 7, 12, 5}));
  EXPECT_EQ(scatter_mean(source, 1, index, 3).to_vector<float>(),
            (std::vector<float>{0, 0, 1.5, 4, 8, 0}));
  const std::string message = message_of([&] {
    gather(x, 0, Tensor::from<int64_t>({0, 1, 2}, {1, 3}));
  });
  EXPECT_THAT(message, ::testing::HasSubstr("index 2 at position [0, 2] is outside [0, 2)"));
  EXPECT_THROW(gather(x, 1, Tensor::from<int64_t>({0, 1, 2}, {3, 1})), Error);
  EXPECT_THROW(scatter_add(x, 1, index, normal({2, 2}, "s")), Error);
}

TEST(IndexPut, GradientsOfBothForms) {
  for (const Shape& shape : {Shape{3, 4, 5}, Shape{1, 7, 1}}) {
    for (int dim = -3; dim < 3; ++dim) {
      const Tensor index = integers({2, 2}, shape[dim], "index");
      const Tensor x = normal(shape, "x");
      const Tensor values = normal(kernels::take(x, dim, index, DType::f64, "test").shape(), "v");
      for (const bool accumulate : {false, true}) {
        EXPECT_EQ(gradcheck(
                      [&](const std::vector<Tensor>& in) {
                        return index_put(in[0], dim, index, in[1], accumulate);
                      },
                      {x, values}),
                  "");
      }
    }
  }
}

TEST(IndexPut, LastOfEqualIndicesWins) {
  const Tensor x = Tensor::zeros({3, 2});
  const Tensor index = Tensor::from<int64_t>({1, 0, 1}, {3});
  const Tensor values = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2});
  EXPECT_EQ(index_put(x, 0, index, values).to_vector<float>(),
            (std::vector<float>{3, 4, 5, 6, 0, 0}));
  EXPECT_EQ(index_put(x, 0, index, values, true).to_vector<float>(),
            (std::vector<float>{3, 4, 6, 8, 0, 0}));
  EXPECT_THROW(index_put(x, 1, index, values), Error);
}

TEST(MaskedPutRows, Gradients) {
  const Tensor mask = Tensor::from<uint8_t>({0, 1, 1, 0, 0, 1}, {2, 3});
  EXPECT_EQ(
      gradcheck([&](const std::vector<Tensor>& in) { return masked_put_rows(in[0], mask, in[1]); },
                {normal({2, 3, 4}, "x"), normal({3, 4}, "rows")}),
      "");
  const Tensor x = Tensor::zeros({2, 3, 1});
  EXPECT_EQ(masked_put_rows(x, mask, Tensor::from<float>({1, 2, 3}, {3, 1})).to_vector<float>(),
            (std::vector<float>{0, 1, 2, 0, 0, 3}));
  EXPECT_THROW(masked_put_rows(x, mask, Tensor::from<float>({1, 2}, {2, 1})), Error);
}

}  // namespace
}  // namespace heed
