// A window is a product of intervals, one an axis. With Z_a the sum of e^logits_a over an interval
// and in, out its slots on the map and beyond it, the slots beyond the map are the disjoint union
// over the axes a of: in before a, out on a, anything behind a. So
//   log sum = log sum_a e^(sum_{c < a} log Z_c(in) + log Z_a(out) + sum_{c > a} log Z_c(all)).
#include "nn/attention/virtual_keys.h"

#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"

namespace heed::nn {
namespace {

/// log Z of each query [B, H, N].
struct AxisSums {
  Tensor in, out, all;
};

AxisSums axis_sums(const Tensor& logits, const std::vector<HaloAxis>& axes, size_t axis,
                   int64_t globals) {
  const HaloAxis& a = axes[axis];
  const int64_t width = a.block + 2 * a.halo, entries = 2 * width - 1;
  int64_t tokens = 1, step = 1;
  for (size_t c = 0; c < axes.size(); ++c) {
    tokens *= axes[c].length;
    if (c > axis) step *= axes[c].length;
  }
  HEED_CHECK(logits.rank() == 4 && logits.size(2) == globals + tokens && logits.size(3) == entries,
             "halo: logits {} for {} tokens behind {} and {} offsets", logits, tokens, globals,
             entries);
  // Added to the logits: 0 for the slots that count.
  const auto none = std::vector<double>(static_cast<size_t>((globals + tokens) * entries),
                                        -std::numeric_limits<double>::infinity());
  std::vector<double> in = none, out = none, all = none;
  for (int64_t i = 0; i < globals; ++i) in[static_cast<size_t>(i * entries)] = 0.0;
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t x = t / step % a.length, first = x / a.block * a.block - a.halo;
    for (int64_t key = first; key < first + width; ++key) {
      const auto at = static_cast<size_t>((globals + t) * entries + width - 1 + key - x);
      all[at] = (key >= 0 && key < a.length ? in : out)[at] = 0.0;
    }
  }
  const auto sum = [&](const std::vector<double>& mask) {
    const Tensor slots = cast(Tensor::from(mask, {globals + tokens, entries}), logits.dtype());
    return logsumexp(add(logits, slots.to(logits.device())), {3});
  };
  return {sum(in), sum(out), sum(all)};
}

}  // namespace

Tensor virtual_key_logits(const std::vector<Tensor>& logits, const std::vector<HaloAxis>& axes,
                          int64_t globals) {
  HEED_CHECK(!logits.empty() && logits.size() == axes.size(), "halo: logits of {} axes for {}",
             logits.size(), axes.size());
  std::vector<AxisSums> sums;
  for (size_t a = 0; a < axes.size(); ++a) {
    const DType dtype = logits[a].dtype() == DType::f64 ? DType::f64 : DType::f32;
    sums.push_back(axis_sums(cast(logits[a], dtype), axes, a, globals));
  }
  std::vector<Tensor> terms;
  for (size_t a = 0; a < axes.size(); ++a) {
    Tensor term = sums[a].out;
    for (size_t c = 0; c < axes.size(); ++c)
      if (c != a) term = add(term, c < a ? sums[c].in : sums[c].all);
    terms.push_back(term);
  }
  return logsumexp(stack(terms, 3), {3});
}

}  // namespace heed::nn
