// A key-value cache in pages (PagedAttention, arXiv 2309.06180): rows grow page by page, in a pool
// that doubles when it is full; then, and when rows are reordered, pages are copied.
#pragma once

#include "kernels/attention/paged.h"
#include "nn/attention/kv_cache.h"

namespace heed::nn {

class PagedKvCache : public KvCache {
 public:
  /// An empty cache of `layers` layers with pages of `page` tokens.
  PagedKvCache(int64_t layers, int64_t page);

  /// As KvCache, but all keys and values are copied together: for mechanisms that read them whole.
  std::pair<Tensor, Tensor> append(int64_t layer, const Tensor& k, const Tensor& v) override;
  /// Steps of a few tokens read the pages in place; f64, and more tokens, gather them first. A
  /// layer with a bounded span, which does not grow, lies in one piece.
  Tensor attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                const AttentionSpec& spec, const KeySpan& span = {}) override;

  void reorder(const Tensor& rows) override;

  /// Of whole pages: a row's last one counts as the others do.
  int64_t bytes() const override;

  /// Pages in use by each layer, over all rows of the batch.
  int64_t pages() const { return static_cast<int64_t>(table_.size()); }

 private:
  Layer& store(int64_t layer, const Tensor& k, const Tensor& v);
  void reserve(int64_t batch, int64_t tokens);
  void write(Tensor& pool, const Tensor& rows) const;

  int64_t page_;
  int64_t batch_ = 0;
  std::vector<int32_t> table_;  // [batch, pages of a row]; the same for all layers
};

}  // namespace heed::nn
