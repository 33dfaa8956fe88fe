#include "tools/attention_timing.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <functional>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/views.h"
#include "kernels/attention/attention.h"
#include "kernels/copy/copy.h"
#include "kernels/matmul/matmul.h"
#include "kernels/softmax/softmax.h"

namespace heed::tools {
namespace {

Tensor normal(const Shape& shape, DType dtype, uint64_t purpose) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  const RandomStream stream({1, purpose, 0});
  for (size_t i = 0; i < values.size(); ++i) values[i] = stream.normal(i);
  return kernels::cast(Tensor::from(values, shape), dtype);
}

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
    const Shape shape{s.batch, s.tokens, s.heads, s.head_dim};
    const auto made = [&](uint64_t purpose) {
      return views::transpose(normal(shape, s.dtype, purpose), 1, 2);
    };
    q = made(1), k = made(2), v = made(3), dout = made(4);
  }
};

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
  const Inputs in(shape);
  const int64_t n = in.q.size(2);
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
