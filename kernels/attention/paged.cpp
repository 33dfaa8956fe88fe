#include "kernels/attention/paged.h"

#include "core/views.h"
#include "kernels/attention/call.h"
#include "kernels/attention/fused.h"
#include "kernels/copy/copy.h"

namespace heed::kernels {
namespace {

int64_t pages_of_row(const std::vector<int32_t>& table, int64_t batch) {
  return batch == 0 ? 0 : static_cast<int64_t>(table.size()) / batch;
}

void check(const Tensor& q, const KvPages& pages, int64_t keys) {
  const Tensor &k = pages.keys, &v = pages.values;
  HEED_CHECK(q.rank() == 4 && k.rank() == 4 && v.rank() == 4 && k.size(0) == v.size(0) &&
                 k.size(1) == v.size(1) && k.size(2) == v.size(2) && k.size(3) == q.size(3) &&
                 k.dtype() == q.dtype() && v.dtype() == q.dtype(),
             "paged attention: q {} over pages of keys {} and values {}", q, k, v);
  const int64_t batch = q.size(0), row = pages_of_row(pages.table, batch);
  HEED_CHECK(keys >= 0 && row * batch == static_cast<int64_t>(pages.table.size()) &&
                 keys <= row * k.size(2),
             "paged attention: {} tokens in {} pages of {} for batch {}", keys, pages.table.size(),
             k.size(2), batch);
  for (const int32_t page : pages.table)
    HEED_CHECK(page >= 0 && page < k.size(0), "paged attention: page {} of {}", page, k.size(0));
}

}  // namespace

Tensor gather_pages(const Tensor& pool, const std::vector<int32_t>& table, int64_t batch,
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
  check(q_in, pages, keys);
  const Tensor q = attn::with_contiguous_rows(q_in);
  const attn::Extents e{q.size(0), q.size(1), pages.keys.size(1),  q.size(2),
                        keys,      q.size(3), pages.values.size(3)};
  HEED_CHECK(e.kv_heads > 0 && e.heads % e.kv_heads == 0,
             "paged attention: {} query heads are not a multiple of {} key/value heads", e.heads,
             e.kv_heads);
  const attn::Problem problem(e, spec, attn::statistics_dtype(q.dtype()));
  if (q.dtype() == DType::f64 || !attn::suits_decode(problem)) {
    return attention(q, gather_pages(pages.keys, pages.table, e.batch, keys),
                     gather_pages(pages.values, pages.table, e.batch, keys), spec);
  }
  const AttentionOutput result{
      views::transpose(Tensor::empty({e.batch, e.queries, e.heads, e.value_dim}, q.dtype()), 1, 2),
      Tensor::empty({e.batch, e.heads, e.queries}, DType::f32)};
  attn::decode_forward(
      problem, q, pages.keys, pages.values, result.out, result.lse,
      {pages.table.data(), pages_of_row(pages.table, e.batch), pages.keys.size(2)});
  return result;
}

}  // namespace heed::kernels
