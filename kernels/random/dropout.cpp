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

Tensor dropout(const Tensor& x, double p, const RandomKey& key, uint64_t first_row) {
  require_cpu(x.device(), "dropout");
  const Tensor from = contiguous(x);
  const Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (x.numel() == 0) return out;
  const uint32_t threshold = static_cast<uint32_t>(p * 0x1p32);
  const int64_t rows = x.rank() == 0 ? 1 : x.size(0), width = x.numel() / rows;
  // Short rows go together, long ones in pieces.
  const int64_t together = std::max<int64_t>(1, kGrain / width);
  const int64_t piece = std::min(kGrain, width), pieces = (width + piece - 1) / piece;
  dispatch_floating(x.dtype(), "dropout", [&](auto type) {
    using T = decltype(type);
    const T* in = from.data<T>();
    T* to = out.data<T>();
    const auto scale = static_cast<accumulate_t<T>>(1.0 / (1.0 - p));
    parallel_for(rows * pieces, together, [&](int64_t first, int64_t last) {
      for (int64_t task = first; task < last; ++task) {
        const int64_t row = task / pieces, begin = task % pieces * piece;
        const RandomStream stream(key.derive(first_row + static_cast<uint64_t>(row)));
        drop(stream, threshold, scale, in + row * width + begin, begin,
             std::min(piece, width - begin), to + row * width + begin);
      }
    });
  });
  return out;
}

}  // namespace heed::kernels
