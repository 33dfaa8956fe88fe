// Attention over pages equals attention over one piece.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/views.h"
#include "core/work.h"
#include "kernels/attention/paged.h"
#include "kernels/copy/copy.h"
#include "tests/kernels/attention_random_spec.h"

namespace heed {
namespace {

using testing::Draw;
using testing::random_tensor;

struct Paged {
  Tensor keys, values;
  std::vector<int32_t> table;
  kernels::KvPages pages() const { return {keys, values, table}; }
};

/// k and v [B, H, M, D] in shuffled pages of `page` tokens, some of them unused.
Paged paged(Draw& draw, const Tensor& k, const Tensor& v, int64_t page) {
  const int64_t batch = k.size(0), row = (k.size(2) + page - 1) / page, pages = batch * row + 2;
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < pages; ++id) ids.push_back(id);
  for (size_t i = ids.size(); i-- > 1;)
    std::swap(ids[i], ids[static_cast<size_t>(draw(0, static_cast<int64_t>(i)))]);
  ids.resize(static_cast<size_t>(batch * row));
  const auto pool = [&](const Tensor& all) {
    const Tensor to = Tensor::full({pages, all.size(1), page, all.size(3)}, 1e30, all.dtype());
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t p = 0; p < row; ++p) {
        const int64_t id = ids[static_cast<size_t>(b * row + p)];
        const int64_t end = std::min((p + 1) * page, all.size(2));
        kernels::copy(views::slice(views::slice(all, 0, b, b + 1), 2, p * page, end),
                      views::slice(views::slice(to, 0, id, id + 1), 2, 0, end - p * page));
      }
    }
    return to;
  };
  return {pool(k), pool(v), ids};
}

TEST(PagedAttention, EqualsAttentionInOnePiece) {
  Draw draw(4);
  for (const int64_t page : {1, 7, 64, 96, 2048}) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
      for (const int64_t queries : {1, 3, 20}) {  // the first two read pages in place
        const auto tensor = [&](int64_t heads, int64_t tokens) {
          return kernels::cast(random_tensor(draw, {2, heads, tokens, 32}), dtype);
        };
        const Tensor q = tensor(4, queries), k = tensor(2, 1100), v = tensor(2, 1100);
        for (const AttentionPattern& pattern :
             {AttentionPattern::causal(1100 - queries), AttentionPattern::window(200, 0, 1080)}) {
          const AttentionSpec spec{.pattern = pattern};
          const auto want = kernels::attention(q, k, v, spec);
          const auto got = kernels::attention_paged(q, paged(draw, k, v, page).pages(), 1100, spec);
          // Pages cut the groups in which keys are multiplied, so products are summed in another
          // order: logits, at most sqrt(32), differ by up to (32 + 4) u of that. Probabilities
          // twice as much; the result is rounded to storage.
          const double u = dtype == DType::f64 ? 0.0 : 0x1p-24;
          const double error = 4 * 36 * u * std::sqrt(32.0);
          const double r = dtype == DType::bf16 ? 0x1p-8 : 0.0;
          for (const auto& [a, b] : {std::pair{got.out, want.out}, {got.lse, want.lse}}) {
            const auto x = a.to_vector<double>(), y = b.to_vector<double>();
            for (size_t i = 0; i < x.size(); ++i)
              ASSERT_NEAR(x[i], y[i], error + r * std::abs(y[i])) << page << " " << queries;
          }
        }
      }
    }
  }
}

TEST(PagedAttention, WrongTablesAreNamed) {
  const Tensor q = Tensor::zeros({2, 2, 1, 16}), pool = Tensor::zeros({4, 2, 8, 16});
  const auto message = [&](const Tensor& keys, const Tensor& values, std::vector<int32_t> table,
                           int64_t tokens, const AttentionSpec& spec = {}) {
    try {
      kernels::attention_paged(q, {keys, values, table}, tokens, spec);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto expect = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  expect(message(pool, pool, {0, 1, 2, 3}, 17), "17 tokens in 4 pages of 8 for batch 2");
  expect(message(pool, pool, {0, 1, 2, 4}, 16), "page 4 of 4");
  expect(message(pool, pool, {0, 1, 2}, 8), "8 tokens in 3 pages");
  expect(message(pool, pool, {0, 1, 2, 3}, -1), "-1 tokens");
  expect(message(pool, pool, {0, 1, 2, 3}, 16, {.dropout = 1.5}), "dropout");
  expect(message(pool, Tensor::zeros({4, 2, 9, 16}), {0, 1, 2, 3}, 16), "lengths differ");
  expect(message(Tensor::zeros({4, 2, 8, 15}), pool, {0, 1, 2, 3}, 16), "head_dim");
  EXPECT_EQ(message(pool, pool, {0, 1, 2, 3}, 16), "");
}

TEST(PagedAttention, PagesMayBeAnyViewAndProductsAreCounted) {
  Draw draw(5);
  const Tensor q = random_tensor(draw, {1, 2, 1, 16});
  const Tensor turned = random_tensor(draw, {20, 2, 16, 8});
  const Tensor view = views::transpose(turned, 2, 3),
               whole = kernels::contiguous_as(view, DType::f32);
  std::vector<int32_t> table;
  for (int32_t page = 0; page < 20; ++page) table.push_back(page);
  const double before = counted_flops();
  const auto got = kernels::attention_paged(q, {view, view, table}, 160, {});
  EXPECT_EQ(counted_flops() - before, 2.0 * 2 * 160 * (16 + 16));
  const auto want = kernels::attention_paged(q, {whole, whole, table}, 160, {});
  EXPECT_EQ(got.out.to_vector<float>(), want.out.to_vector<float>());
}

}  // namespace
}  // namespace heed
