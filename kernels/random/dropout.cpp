#include "kernels/random/dropout.h"

#include <algorithm>
#include <array>

#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/random/random_rows.h"

namespace heed::kernels {
namespace {

constexpr int64_t kGrain = 16384;  // elements of a chunk: a multiple of 4

void drop(const RandomStream& stream, uint32_t threshold, double scale, const double* x,
          int64_t first, int64_t n, double* to) {
  std::array<uint32_t, 256> drawn;
  const int64_t step = static_cast<int64_t>(drawn.size());
  for (int64_t begin = 0; begin < n; begin += step) {
    const int64_t count = std::min(step, n - begin);
    random_words(stream, first + begin, count, drawn.data());
    for (int64_t i = 0; i < count; ++i) {
      to[begin + i] = drawn[static_cast<size_t>(i)] < threshold ? 0.0 : x[begin + i] * scale;
    }
  }
}

}  // namespace

Tensor dropout(const Tensor& x, double p, const RandomKey& key, uint64_t first) {
  require_cpu(x.device(), "dropout");
  const Tensor from = contiguous(x);
  const Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  const uint32_t threshold = static_cast<uint32_t>(p * 0x1p32);
  const RandomStream stream(key);
  dispatch_floating(x.dtype(), "dropout", [&](auto type) {
    using T = decltype(type);
    const T* in = from.data<T>();
    T* to = out.data<T>();
    const auto scale = static_cast<accumulate_t<T>>(1.0 / (1.0 - p));
    // Vector code draws whole blocks of four: up to the first of them one by one.
    const int64_t head = std::min(x.numel(), static_cast<int64_t>((4 - first % 4) % 4));
    for (int64_t i = 0; i < head; ++i) {
      const bool kept = stream.word(first + static_cast<uint64_t>(i)) >= threshold;
      to[i] = T(kept ? static_cast<accumulate_t<T>>(in[i]) * scale : 0);
    }
    parallel_for(x.numel() - head, kGrain, [&](int64_t begin, int64_t end) {
      drop(stream, threshold, scale, in + head + begin, static_cast<int64_t>(first) + head + begin,
           end - begin, to + head + begin);
    });
  });
  return out;
}

}  // namespace heed::kernels
