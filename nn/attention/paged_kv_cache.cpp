#include "nn/attention/paged_kv_cache.h"

#include <algorithm>
#include <bit>

#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/index/index.h"

namespace heed::nn {

PagedKvCache::PagedKvCache(int64_t layers, int64_t page) : KvCache(layers), page_(page) {
  HEED_CHECK(page > 0, "kv cache: pages of {} tokens", page);
}

std::pair<Tensor, Tensor> PagedKvCache::append(int64_t layer, const Tensor& k, const Tensor& v) {
  const Layer& own = store(layer, k, v);
  const int64_t total = length() + k.size(2);
  return {kernels::gather_pages(own.keys, table_, batch_, total),
          kernels::gather_pages(own.values, table_, batch_, total)};
}

Tensor PagedKvCache::attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                            const AttentionSpec& spec, const KeySpan& span) {
  if (span.bounded()) return KvCache::attend(layer, q, k, v, spec, span);
  const Layer& own = store(layer, k, v);
  return kernels::attention_paged(q, {own.keys, own.values, table_}, length() + k.size(2), spec)
      .out;
}

int64_t PagedKvCache::bytes() const {
  int64_t sum = 0;
  for (const Layer& layer : layers()) {
    for (const Tensor* pool : {&layer.keys, &layer.values}) {
      if (pool->defined()) sum += pool->bytes() / pool->size(0) * pages();
    }
    if (layer.state.defined()) sum += layer.state.bytes();
  }
  return sum;
}

void PagedKvCache::reorder(const Tensor& rows) {
  const auto take = [](Tensor& from, const Tensor& ids) {
    if (from.defined()) from = kernels::take(from, 0, ids, from.dtype(), "kv cache");
  };
  for (Layer& layer : layers()) {
    take(layer.state, rows);
    if (!layer.span.bounded()) continue;
    take(layer.keys, rows);
    take(layer.values, rows);
  }
  if (table_.empty()) return;
  // Rows may come from the same one: each gets pages of its own.
  const int64_t row = pages() / batch_;
  std::vector<int64_t> from;
  for (const int64_t b : rows.to_vector<int64_t>()) {
    HEED_CHECK(b >= 0 && b < batch_, "kv cache: row {} of {}", b, batch_);
    from.insert(from.end(), table_.begin() + b * row, table_.begin() + (b + 1) * row);
  }
  const auto count = static_cast<int64_t>(from.size());
  const Tensor ids = Tensor::from(from, {count});
  for (Layer& layer : layers()) {
    if (layer.span.bounded()) continue;
    take(layer.keys, ids);
    take(layer.values, ids);
  }
  batch_ = rows.numel();
  table_.resize(from.size());
  for (size_t p = 0; p < table_.size(); ++p) table_[p] = static_cast<int32_t>(p);
}

KvCache::Layer& PagedKvCache::store(int64_t layer, const Tensor& k, const Tensor& v) {
  Layer& own = checked(layer, k, v);
  reserve(k.size(0), length() + k.size(2));
  write(own.keys, k);
  write(own.values, v);
  return own;
}

/// Gives every row pages for `tokens` tokens. Pages that a row has stay where they are.
void PagedKvCache::reserve(int64_t batch, int64_t tokens) {
  HEED_CHECK(batch_ == 0 || batch_ == batch, "kv cache: holds a batch of {}, was given {}", batch_,
             batch);
  batch_ = batch;
  const int64_t had = batch == 0 ? 0 : pages() / batch, wanted = (tokens + page_ - 1) / page_;
  if (wanted <= had) return;
  std::vector<int32_t> table;
  int32_t fresh = static_cast<int32_t>(pages());
  for (int64_t b = 0; b < batch; ++b) {
    table.insert(table.end(), table_.begin() + b * had, table_.begin() + (b + 1) * had);
    for (int64_t p = had; p < wanted; ++p) table.push_back(fresh++);
  }
  table_ = std::move(table);
}

/// New rows behind the tokens that are stored, page by page.
void PagedKvCache::write(Tensor& pool, const Tensor& rows) const {
  const int64_t heads = rows.size(1), count = rows.size(2), width = rows.size(3);
  if (!pool.defined() || pool.size(0) < pages()) {
    const auto capacity = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(pages())));
    const Tensor larger = Tensor::empty({capacity, heads, page_, width}, rows.dtype());
    if (pool.defined()) kernels::copy(pool, views::slice(larger, 0, 0, pool.size(0)));
    pool = larger;
  }
  HEED_CHECK(pool.dtype() == rows.dtype() && pool.size(1) == heads && pool.size(3) == width,
             "kv cache: holds pages {}, was given {}", pool, rows);
  const int64_t row = batch_ == 0 ? 0 : pages() / batch_;
  for (int64_t b = 0; b < batch_; ++b) {
    for (int64_t done = 0; done < count;) {
      const int64_t at = length() + done, within = at % page_;
      const int64_t now = std::min(page_ - within, count - done);
      const int64_t id = table_[static_cast<size_t>(b * row + at / page_)];
      kernels::copy(views::slice(views::slice(rows, 0, b, b + 1), 2, done, done + now),
                    views::slice(views::slice(pool, 0, id, id + 1), 2, within, within + now));
      done += now;
    }
  }
}

}  // namespace heed::nn
