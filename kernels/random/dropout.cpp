#include "kernels/random/dropout.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/random/philox_rows.h"

namespace heed::kernels {
namespace {

constexpr int64_t kGrain = 16384;  // elements of a chunk: a multiple of kDraws
constexpr int64_t kDraws = 1024;   // words drawn at a time

}  // namespace

Tensor dropout(const Tensor& x, double p, const RandomKey& key) {
  require_cpu(x.device(), "dropout");
  const Tensor from = contiguous(x);
  const Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  const uint32_t threshold = static_cast<uint32_t>(p * 0x1p32);
  const RandomStream stream(key);
  dispatch_floating(x.dtype(), "dropout", [&](auto type) {
    using T = decltype(type);
    using Number = accumulate_t<T>;
    const T* in = from.data<T>();
    T* to = out.data<T>();
    const Number scale = static_cast<Number>(1.0 / (1.0 - p));
    parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      std::array<uint32_t, kDraws> words;
      for (int64_t first = begin; first < end; first += kDraws) {
        const int64_t n = std::min(kDraws, end - first);
        philox_words(stream, first, n, words.data());
        for (int64_t i = 0; i < n; ++i) {
          const Number value = static_cast<Number>(in[first + i]);
          to[first + i] = T(words[static_cast<size_t>(i)] < threshold ? Number{0} : value * scale);
        }
      }
    });
  });
  return out;
}

}  // namespace heed::kernels
