#include "kernels/random/fill.h"

#include <algorithm>
#include <array>

#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/random/random_rows.h"

namespace heed::kernels {
namespace {

constexpr int64_t kGrain = 16384;  // elements of a chunk
constexpr int64_t kDraws = 1024;   // drawn at a time; both multiples of 4

// draw(first, n, float* values), then finish(value) for each.
template <class Draw, class Finish>
void fill(const char* op, const Tensor& dst, Draw&& draw, Finish&& finish) {
  if (!dst.is_contiguous() || !dst.device().is_cpu()) {  // a device gets what the host draws
    const Tensor dense = Tensor::empty(dst.shape(), dst.dtype());
    fill(op, dense, draw, finish);
    copy(dense, dst);
    return;
  }
  dispatch_floating(dst.dtype(), op, [&](auto type) {
    using T = decltype(type);
    T* to = dst.data<T>();
    parallel_for(dst.numel(), kGrain, [&](int64_t begin, int64_t end) {
      alignas(64) std::array<float, kDraws> values;
      for (int64_t first = begin; first < end; first += kDraws) {
        const int64_t n = std::min(kDraws, end - first);
        draw(first, n, values.data());
        for (int64_t i = 0; i < n; ++i) to[first + i] = T(finish(values[static_cast<size_t>(i)]));
      }
    });
  });
  dst.bump_version();
}

auto affine(double scale, double shift) {
  return
      [a = static_cast<float>(scale), b = static_cast<float>(shift)](float x) { return a * x + b; };
}

}  // namespace

void fill_uniform(const Tensor& dst, double low, double high, const RandomKey& key) {
  const RandomStream stream(key);
  fill(
      "fill_uniform", dst,
      [&](int64_t first, int64_t n, float* x) { random_uniforms(stream, first, n, x); },
      affine(high - low, low));
}

void fill_normal(const Tensor& dst, double mean, double std, const RandomKey& key) {
  const RandomStream stream(key);
  fill(
      "fill_normal", dst,
      [&](int64_t first, int64_t n, float* x) { random_normals(stream, first, n, x); },
      affine(std, mean));
}

void fill_truncated_normal(const Tensor& dst, double mean, double std, double cut,
                           const RandomKey& key) {
  HEED_CHECK(cut > 0.0, "fill_truncated_normal: the cut must be above 0, got {}", cut);
  const RandomStream stream(key);
  fill(
      "fill_truncated_normal", dst,
      [&](int64_t first, int64_t n, float* x) {
        random_truncated_normals(stream, cut, first, n, x);
      },
      affine(std, mean));
}

void fill_bernoulli(const Tensor& dst, double p, const RandomKey& key) {
  HEED_CHECK(p >= 0.0 && p <= 1.0, "fill_bernoulli: p = {} is not in [0, 1]", p);
  const RandomStream stream(key);
  fill(
      "fill_bernoulli", dst,
      [&](int64_t first, int64_t n, float* x) { random_uniforms(stream, first, n, x); },
      [p = static_cast<float>(p)](float x) { return x < p ? 1.0f : 0.0f; });
}

}  // namespace heed::kernels
