#include "tools/attention_timing.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/views.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/cuda/fused.h"
#include "kernels/copy/copy.h"
#include "kernels/matmul/matmul.h"
#include "kernels/random/fill.h"
#include "kernels/softmax/softmax.h"
#include "tools/device_timing.h"
#include "tools/neighborhood_forms.h"

namespace heed::tools {
namespace {

struct Inputs {
  Tensor q, k, v, dout;
  explicit Inputs(const AttentionShape& s) {
    const auto made = [&](int64_t heads, uint64_t purpose) {
      const Shape shape{s.batch, s.tokens, heads, s.head_dim};
      const Tensor t = Tensor::empty(shape, s.dtype);
      kernels::fill_normal(t, 0.0, 1.0, {1, purpose, 0});
      return views::transpose(t.to(s.device), 1, 2);
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

/// [B, H, N, D] -> f32 on the host, contiguous [B H, N, D].
Tensor flat(const Tensor& given) {
  const Tensor x = given.to(kCpu);
  const Tensor out = Tensor::empty(x.shape(), DType::f32);
  kernels::copy(kernels::cast(x, DType::f32), out);
  return views::reshape(out, {x.size(0) * x.size(1), x.size(2), x.size(3)});
}

/// What a problem comes to.
struct Outcome {
  Tensor out, dq, dk, dv;
};

/// A way to compute it.
struct Form {
  std::function<Tensor()> forward;
  std::function<Outcome()> both;
};

Form fused(const Inputs& in, const AttentionPattern& pattern) {
  const AttentionSpec spec{.pattern = pattern};
  return {[in, spec] { return kernels::attention(in.q, in.k, in.v, spec).out; },
          [in, spec] {
            const auto y = kernels::attention(in.q, in.k, in.v, spec);
            const auto g =
                kernels::attention_backward(in.dout, {}, in.q, in.k, in.v, y, spec, true, true);
            return Outcome{y.out, g.dq, g.dk, g.dv};
          }};
}

/// Attention as it is often written: the scores of all pairs in memory, and a mask of -infinity.
Form masked(const Inputs& given, const AttentionPattern& pattern) {
  const int64_t heads = given.q.size(1), n = given.q.size(2);
  auto mask = std::make_shared<std::vector<float>>(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      (*mask)[static_cast<size_t>(i * n + j)] = pattern.allowed(0, 0, i, j) ? 0.0f : -1e30f;
  const Tensor q = flat(given.q), dout = flat(given.dout);
  const Tensor k = flat(repeated(given.k, heads)), v = flat(repeated(given.v, heads));
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(q.size(2))));
  const auto transposed = [](const Tensor& x) { return views::transpose(x, 1, 2); };
  const auto probabilities = [=] {
    const Tensor scores = kernels::matmul(q, transposed(k));
    each_row(scores, [&](float* row, int64_t r) {
      const float* m = mask->data() + r % n * n;
      for (int64_t j = 0; j < n; ++j) row[j] = row[j] * scale + m[j];
    });
    return kernels::softmax(scores, -1);
  };
  return {[=] { return kernels::matmul(probabilities(), v); },
          [=] {
            const Tensor p = probabilities();
            const Tensor out = kernels::matmul(p, v);
            const Tensor dv = kernels::matmul(transposed(p), dout);
            const Tensor ds = kernels::matmul(dout, transposed(v));
            softmax_backward_rows(ds, p, scale);
            return Outcome{out, kernels::matmul(ds, k), kernels::matmul(transposed(ds), q), dv};
          }};
}

Form unfused(const Inputs& given, std::shared_ptr<const NeighborhoodOperators> operators,
             int64_t neighbours) {
  const int64_t heads = given.q.size(1);
  const Tensor q = flat(given.q), dout = flat(given.dout);
  const Tensor k = flat(repeated(given.k, heads)), v = flat(repeated(given.v, heads));
  return {[=] {
            Tensor weights;
            return unfused_forward(*operators, neighbours, q, k, v, &weights);
          },
          [=] {
            Tensor weights;
            const Tensor out = unfused_forward(*operators, neighbours, q, k, v, &weights);
            const auto g = unfused_backward(*operators, dout, q, k, v, weights);
            return Outcome{out, g.dq, g.dk, g.dv};
          }};
}

Form made(const std::string& name, const Inputs& in, const AttentionPattern& pattern,
          const std::vector<NeighborhoodAxis>& axes) {
  if (name == "fused") return fused(in, pattern);
  if (name == "masked") return masked(in, pattern);
  if (axes.empty())
    fail_request({}, fmt::format("form {}: is one of neighborhoods without a stride", name));
  const NeighborhoodGrid grid(axes);
  return unfused(in, name == "naive" ? naive_neighborhood(grid) : product_neighborhood(grid),
                 grid.neighbours());
}

AttentionTiming timed(const Form& form, double seconds, Device device) {
  AttentionTiming t;
  const int64_t before = allocator::stats(device).in_use_bytes;
  allocator::reset_peak(device);
  t.forward = best_seconds(
      seconds, [&] { form.forward(); }, device);
  t.forward_peak_bytes = allocator::stats(device).peak_bytes - before;
  t.both = best_seconds(
      seconds, [&] { form.both(); }, device);
  t.peak_bytes = allocator::stats(device).peak_bytes - before;
  return t;
}

/// Largest |a - b| over largest |b|.
double distance(const Tensor& a, const Tensor& b) {
  const Tensor x = flat(a.rank() == 4 ? a : views::unsqueeze(a, 0));
  const Tensor y = flat(b.rank() == 4 ? b : views::unsqueeze(b, 0));
  HEED_CHECK(x.numel() == y.numel(), "bench attention: {} beside {}", x, y);
  double difference = 0.0, scale = 0.0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double got = static_cast<double>(x.data<float>()[i]);
    const double want = static_cast<double>(y.data<float>()[i]);
    if (!std::isfinite(got) || !std::isfinite(want)) return HUGE_VAL;
    difference = std::max(difference, std::abs(got - want));
    scale = std::max(scale, std::abs(want));
  }
  return difference / scale;
}

}  // namespace

const std::vector<std::string>& attention_forms() {
  static const std::vector<std::string> forms = {"fused", "masked", "naive", "product"};
  return forms;
}

AttentionTiming time_fused(const AttentionShape& shape, const AttentionPattern& pattern,
                           double seconds) {
  return timed(fused(Inputs(shape), pattern), seconds, shape.device);
}

std::string fused_kernels_taken(const AttentionShape& shape, const AttentionPattern& pattern) {
  if (shape.device.is_cpu()) return "";
  const Inputs in(shape);
  return kernels::attn::takes_hopper(in.q, in.k, in.v, {.pattern = pattern}) ? "sm_90a"
                                                                             : "portable";
}

AttentionTiming time_portable(const AttentionShape& shape, const AttentionPattern& pattern,
                              double seconds) {
  const kernels::attn::UseFusedKernels portable(kernels::attn::FusedKernels::portable);
  return time_fused(shape, pattern, seconds);
}

AttentionTiming time_form(const std::string& form, const AttentionShape& shape,
                          const AttentionPattern& pattern,
                          const std::vector<NeighborhoodAxis>& axes, double seconds) {
  return timed(made(form, Inputs(shape), pattern, axes), seconds, shape.device);
}

double form_difference(const std::string& form, const std::string& other,
                       const AttentionShape& shape, const AttentionPattern& pattern,
                       const std::vector<NeighborhoodAxis>& axes) {
  const Inputs in(shape);
  AttentionShape host = shape;
  host.device = kCpu;
  const Outcome a = made(form, in, pattern, axes).both(),
                b = made(other, Inputs(host), pattern, axes).both();
  double largest = std::max(distance(a.out, b.out), distance(a.dq, b.dq));
  // A group's shared keys and values have the sum of what repeated ones have each.
  if (shape.key_heads() == shape.heads)
    largest = std::max({largest, distance(a.dk, b.dk), distance(a.dv, b.dv)});
  return largest;
}

}  // namespace heed::tools
