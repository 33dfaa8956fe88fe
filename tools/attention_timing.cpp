#include "tools/attention_timing.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/views.h"
#include "kernels/attention/attention.h"
#include "kernels/copy/copy.h"
#include "kernels/matmul/matmul.h"
#include "kernels/random/fill.h"
#include "kernels/softmax/softmax.h"

namespace heed::tools {
namespace {

/// Seconds on the clock of the measurement: with one thread the process's own, which other
/// processes do not disturb.
double now() {
  timespec time{};
  clock_gettime(thread_count() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Best of the runs that fit into the time, at least two.
double best_seconds(double budget, const std::function<void()>& run) {
  run();
  double best = HUGE_VAL;
  const double start = now();
  for (int i = 0; i < 2 || now() - start < budget; ++i) {
    const double begin = now();
    run();
    best = std::min(best, now() - begin);
  }
  return best;
}

struct Inputs {
  Tensor q, k, v, dout;
  explicit Inputs(const AttentionShape& s) {
    const auto made = [&](int64_t heads, uint64_t purpose) {
      const Shape shape{s.batch, s.tokens, heads, s.head_dim};
      const Tensor t = Tensor::empty(shape, s.dtype);
      kernels::fill_normal(t, 0.0, 1.0, {1, purpose, 0});
      return views::transpose(t, 1, 2);
    };
    q = made(s.heads, 1), dout = made(s.heads, 4);
    k = made(s.key_heads(), 2), v = made(s.key_heads(), 3);
  }
};

/// x [B, Hkv, N, D] with every head as often as there are query heads to share it.
Tensor repeated(const Tensor& x, int64_t heads) {
  const int64_t group = heads / x.size(1);
  const Shape wide{x.size(0), x.size(1), group, x.size(2), x.size(3)};
  const Tensor all = Tensor::empty(wide, x.dtype());
  kernels::copy(views::expand(views::unsqueeze(x, 2), wide), all);
  return views::reshape(all, {x.size(0), heads, x.size(2), x.size(3)});
}

}  // namespace

AttentionTiming time_fused(const AttentionShape& shape, const AttentionPattern& pattern,
                           double seconds) {
  const Inputs in(shape);
  const AttentionSpec spec{.pattern = pattern};
  AttentionTiming t;
  const int64_t before = allocator::stats().in_use_bytes;
  allocator::reset_peak();
  t.forward = best_seconds(seconds, [&] { kernels::attention(in.q, in.k, in.v, spec); });
  t.both = best_seconds(seconds, [&] {
    const auto y = kernels::attention(in.q, in.k, in.v, spec);
    kernels::attention_backward(in.dout, {}, in.q, in.k, in.v, y, spec, true, true);
  });
  t.peak_bytes = allocator::stats().peak_bytes - before;
  return t;
}

AttentionTiming time_materialised(const AttentionShape& shape, const AttentionPattern& pattern,
                                  double seconds) {
  Inputs in(shape);
  const int64_t n = in.q.size(2);
  for (Tensor* t : {&in.k, &in.v}) *t = repeated(*t, shape.heads);
  std::vector<float> mask(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      mask[static_cast<size_t>(i * n + j)] = pattern.allowed(0, 0, i, j) ? 0.0f : -1e30f;
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(in.q.size(3))));
  AttentionTiming t;
  const int64_t before = allocator::stats().in_use_bytes;
  allocator::reset_peak();
  t.forward = best_seconds(seconds, [&] {
    const Tensor scores = kernels::matmul(kernels::cast(in.q, DType::f32),
                                          views::transpose(kernels::cast(in.k, DType::f32), 2, 3));
    auto* s = scores.data<float>();
    parallel_for(scores.numel() / n, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* m = mask.data() + row % n * n;
        for (int64_t j = 0; j < n; ++j) s[row * n + j] = s[row * n + j] * scale + m[j];
      }
    });
    kernels::matmul(kernels::softmax(scores, -1), kernels::cast(in.v, DType::f32));
  });
  t.peak_bytes = allocator::stats().peak_bytes - before;
  return t;
}

}  // namespace heed::tools
