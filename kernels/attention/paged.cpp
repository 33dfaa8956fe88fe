#include "kernels/attention/paged.h"

#include "core/views.h"
#include "kernels/attention/call.h"
#include "kernels/attention/fused.h"
#include "kernels/copy/copy.h"

namespace heed::kernels {
namespace {

int64_t pages_of_row(std::span<const int32_t> table, int64_t batch) {
  return batch == 0 ? 0 : static_cast<int64_t>(table.size()) / batch;
}

void check_table(const KvPages& pages, int64_t batch, int64_t keys) {
  const int64_t row = pages_of_row(pages.table, batch), page = pages.keys.size(2);
  HEED_CHECK(
      keys >= 0 && row * batch == static_cast<int64_t>(pages.table.size()) && keys <= row * page,
      "paged attention: {} tokens in {} pages of {} for batch {}", keys, pages.table.size(), page,
      batch);
  for (const int32_t id : pages.table)
    HEED_CHECK(id >= 0 && id < pages.keys.size(0), "paged attention: page {} of {}", id,
               pages.keys.size(0));
}

}  // namespace

Tensor gather_pages(const Tensor& pool, std::span<const int32_t> table, int64_t batch,
                    int64_t keys) {
  const int64_t page = pool.size(2), row = pages_of_row(table, batch);
  const Tensor all = Tensor::empty({batch, pool.size(1), keys, pool.size(3)}, pool.dtype());
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t first = 0; first < keys; first += page) {
      const int64_t id = table[static_cast<size_t>(b * row + first / page)];
      const int64_t count = std::min(page, keys - first);
      const auto part = [&](const Tensor& t, int64_t at, int64_t begin) {
        return views::slice(views::slice(t, 0, at, at + 1), 2, begin, begin + count);
      };
      copy(part(pool, id, 0), part(all, b, first));
    }
  }
  return all;
}

AttentionOutput attention_paged(const Tensor& q_in, const KvPages& pages, int64_t keys,
                                const AttentionSpec& spec) {
  const attn::Problem problem = attn::make_problem(q_in, pages.keys, pages.values, spec, keys);
  const attn::Extents& e = problem.e;
  check_table(pages, e.batch, keys);
  const Tensor q = attn::with_contiguous_rows(q_in);
  if (q.dtype() == DType::f64 || !attn::suits_decode(problem)) {
    // The plan that the whole finds is this problem's: plans are kept.
    return attention(q, gather_pages(pages.keys, pages.table, e.batch, keys),
                     gather_pages(pages.values, pages.table, e.batch, keys), spec);
  }
  attn::count_products(problem, 1, 1);
  const AttentionOutput result{
      attn::token_major(e.batch, e.heads, e.queries, e.value_dim, q.dtype()),
      Tensor::empty({e.batch, e.heads, e.queries}, DType::f32)};
  attn::decode_forward(
      problem, q, attn::with_contiguous_rows(pages.keys), attn::with_contiguous_rows(pages.values),
      result.out, result.lse,
      {pages.table.data(), pages_of_row(pages.table, e.batch), pages.keys.size(2)});
  return result;
}

}  // namespace heed::kernels
