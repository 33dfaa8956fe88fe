#include "nn/attention/kv_cache.h"

#include <algorithm>

#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/index/index.h"

namespace heed::nn {
namespace {

/// Behind the first `length` rows of the buffer, which grows from `least` rows on by doubling.
void store(Tensor& buffer, int64_t least, int64_t length, const Tensor& rows) {
  const int64_t total = length + rows.size(2);
  if (!buffer.defined() || buffer.size(2) < total) {
    int64_t capacity = buffer.defined() ? buffer.size(2) : least;
    while (capacity < total) capacity *= 2;
    const Shape shape{rows.size(0), rows.size(1), capacity, rows.size(3)};
    const Tensor larger = Tensor::empty(shape, rows.dtype(), rows.device());
    if (buffer.defined()) {
      const Tensor old = views::slice(buffer, 2, 0, length);
      kernels::copy(old, views::slice(larger, 2, 0, length));
    }
    buffer = larger;
  }
  HEED_CHECK(buffer.dtype() == rows.dtype() && buffer.size(0) == rows.size(0) &&
                 buffer.size(1) == rows.size(1) && buffer.size(3) == rows.size(3),
             "kv cache: holds {}, was given {}", buffer, rows);
  kernels::copy(rows, views::slice(buffer, 2, length, total));
}

/// The buffer without its rows [from, to), of which `length` count, with room for `capacity`.
Tensor without_rows(const Tensor& buffer, int64_t from, int64_t to, int64_t length,
                    int64_t capacity) {
  const Shape shape{buffer.size(0), buffer.size(1), capacity, buffer.size(3)};
  const Tensor kept = Tensor::empty(shape, buffer.dtype(), buffer.device());
  if (from > 0) kernels::copy(views::slice(buffer, 2, 0, from), views::slice(kept, 2, 0, from));
  kernels::copy(views::slice(buffer, 2, to, length),
                views::slice(kept, 2, from, from + length - to));
  return kept;
}

}  // namespace

KvCache::KvCache(int64_t layers, int64_t capacity)
    : layers_(static_cast<size_t>(layers)), capacity_(std::max<int64_t>(capacity, 1)) {}

KvCache::Layer& KvCache::at(int64_t layer) {
  HEED_CHECK(layer >= 0 && layer < static_cast<int64_t>(layers_.size()), "kv cache: layer {} of {}",
             layer, layers_.size());
  return layers_[static_cast<size_t>(layer)];
}

KvCache::Layer& KvCache::checked(int64_t layer, const Tensor& k, const Tensor& v) {
  HEED_CHECK(k.rank() == 4 && v.rank() == 4 && k.size(0) == v.size(0) && k.size(1) == v.size(1) &&
                 k.size(2) == v.size(2),
             "kv cache: wants keys and values [B, H, T, D], got {} and {}", k, v);
  return at(layer);
}

int64_t KvCache::stored(int64_t layer) const {
  return length_ - layers_.at(static_cast<size_t>(layer)).dropped;
}

std::pair<Tensor, Tensor> KvCache::append(int64_t layer, const Tensor& k, const Tensor& v) {
  Layer& own = checked(layer, k, v);
  const int64_t before = stored(layer), total = before + k.size(2);
  store(own.keys, capacity_, before, k);
  store(own.values, capacity_, before, v);
  return {views::slice(own.keys, 2, 0, total), views::slice(own.values, 2, 0, total)};
}

int64_t KvCache::bytes() const {
  int64_t sum = 0;
  for (const Layer& layer : layers_) {
    for (const Tensor* buffer : {&layer.keys, &layer.values}) {
      if (buffer->defined()) sum += buffer->bytes() / buffer->size(2) * length_;
    }
    if (layer.state.defined()) sum += layer.state.bytes();
  }
  return sum;
}

void KvCache::reorder(const Tensor& rows) {
  for (Layer& layer : layers_) {
    for (Tensor* buffer : {&layer.keys, &layer.values, &layer.state}) {
      if (!buffer->defined()) continue;
      *buffer = kernels::take(*buffer, 0, rows, buffer->dtype(), "kv cache");
    }
  }
}

Tensor KvCache::attend(int64_t layer, const Tensor& q, const Tensor& k, const Tensor& v,
                       const AttentionSpec& spec, const KeySpan& span) {
  const auto [keys, values] = KvCache::append(layer, k, v);
  Tensor out = kernels::attention(q, keys, values, spec).out;
  Layer& own = at(layer);
  own.span = span;
  trim(own, length_ + k.size(2));
  return out;
}

void KvCache::trim(Layer& layer, int64_t seen) {
  if (!layer.span.bounded()) return;
  const auto [first, behind] = layer.span;
  // Moving what stays costs as much as a step's attention, so some tokens go at once.
  const int64_t some = behind / 4 + 16;
  const int64_t unseen = seen - behind - first - layer.dropped;
  if (unseen < some) return;
  const int64_t stored = seen - layer.dropped;
  for (Tensor* buffer : {&layer.keys, &layer.values}) {
    *buffer = without_rows(*buffer, first, first + unseen, stored, first + behind + some);
  }
  layer.dropped += unseen;
}

void KvCache::truncate(int64_t length) {
  HEED_CHECK(length >= 0 && length <= length_, "kv cache: cannot truncate {} tokens to {}", length_,
             length);
  for (Layer& layer : layers_) {
    HEED_CHECK(!layer.state.defined() || length == 0 || length == length_,
               "kv cache: a state of {} tokens cannot go back to {}", length_, length);
    HEED_CHECK(layer.dropped == 0 || length == 0 ||
                   length - layer.span.behind >= layer.span.first + layer.dropped,
               "kv cache: {} tokens of a window of {} cannot go back to {}: the keys that it "
               "would see are gone",
               length_, layer.span.behind, length);
    if (length == 0) layer.state = Tensor();
    if (length == 0) layer.dropped = 0;
  }
  length_ = length;
}

}  // namespace heed::nn
