#include "nn/attention/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "core/views.h"

namespace heed::nn {
namespace {

// rows [B, H, T, D] -> buffer[:, :, first : first + T]; a row's D features are contiguous in both.
void write_rows(const Tensor& buffer, int64_t first, const Tensor& rows) {
  const auto bytes = static_cast<int64_t>(size_of(rows.dtype()));
  const auto* from = static_cast<const std::byte*>(rows.raw());
  auto* to = static_cast<std::byte*>(buffer.raw());
  const auto row_bytes = static_cast<size_t>(rows.size(3) * bytes);
  for (int64_t b = 0; b < rows.size(0); ++b) {
    for (int64_t h = 0; h < rows.size(1); ++h) {
      for (int64_t t = 0; t < rows.size(2); ++t) {
        const int64_t source = b * rows.stride(0) + h * rows.stride(1) + t * rows.stride(2);
        const int64_t target =
            b * buffer.stride(0) + h * buffer.stride(1) + (first + t) * buffer.stride(2);
        std::memcpy(to + target * bytes, from + source * bytes, row_bytes);
      }
    }
  }
  buffer.bump_version();
}

void store(Tensor& buffer, int64_t capacity, int64_t length, const Tensor& rows) {
  HEED_CHECK(rows.rank() == 4 && (rows.size(3) == 1 || rows.stride(3) == 1),
             "kv cache: wants [B, H, T, D] with contiguous rows, got {}", rows);
  const Shape shape{rows.size(0), rows.size(1), capacity, rows.size(3)};
  if (!buffer.defined() || buffer.size(2) < length + rows.size(2)) {
    const Tensor larger = Tensor::empty(shape, rows.dtype(), rows.device());
    if (buffer.defined()) write_rows(larger, 0, views::slice(buffer, 2, 0, length));
    buffer = larger;
  }
  HEED_CHECK(buffer.dtype() == rows.dtype() && buffer.size(0) == rows.size(0) &&
                 buffer.size(1) == rows.size(1) && buffer.size(3) == rows.size(3),
             "kv cache: holds {}, was given {}", buffer, rows);
  write_rows(buffer, length, rows);
}

}  // namespace

KvCache::KvCache(int64_t layers, int64_t capacity)
    : layers_(static_cast<size_t>(layers)), capacity_(std::max<int64_t>(capacity, 1)) {}

std::pair<Tensor, Tensor> KvCache::append(int64_t layer, const Tensor& k, const Tensor& v) {
  HEED_CHECK(layer >= 0 && layer < static_cast<int64_t>(layers_.size()), "kv cache: layer {} of {}",
             layer, layers_.size());
  const int64_t total = length_ + k.size(2);
  while (capacity_ < total) capacity_ *= 2;
  Layer& own = layers_[static_cast<size_t>(layer)];
  store(own.keys, capacity_, length_, k);
  store(own.values, capacity_, length_, v);
  return {views::slice(own.keys, 2, 0, total), views::slice(own.values, 2, 0, total)};
}

void KvCache::truncate(int64_t length) {
  HEED_CHECK(length >= 0 && length <= length_, "kv cache: cannot truncate {} tokens to {}", length_,
             length);
  length_ = length;
}

}  // namespace heed::nn
