// Attention with materialised f64 scores, written from the formulas: the oracle of the fused
// kernels. Beside each result it gives the sum of the magnitudes that add up to it, from which the
// tests derive how far a result in finite precision may lie.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "core/tensor.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/plan.h"

namespace heed::testing {

/// A value and the sum of the magnitudes of its terms, for each element of a [B, H, N, D] tensor.
struct Bounded {
  std::vector<double> value, magnitude;
  explicit Bounded(size_t n = 0) : value(n), magnitude(n) {}
  void add(size_t at, double term, double size) {
    value[at] += term;
    magnitude[at] += size;
  }
};

struct AttentionOracle {
  Bounded out, lse, dq, dk, dv;
  double logit_size = 0;  // largest scale * sum |q||k| (plus ALiBi's term)

  AttentionOracle(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& dout,
                  const Tensor& dlse, const AttentionSpec& spec) {
    const int64_t B = q.size(0), H = q.size(1), N = q.size(2), D = q.size(3);
    const int64_t Hkv = k.size(1), M = k.size(2), Dv = v.size(3);
    const auto qs = q.to_vector<double>(), ks = k.to_vector<double>(), vs = v.to_vector<double>();
    const auto dos = dout.to_vector<double>();
    const auto dls = dlse.defined() ? dlse.to_vector<double>()
                                    : std::vector<double>(static_cast<size_t>(B * H * N), 0.0);
    out = Bounded(dos.size()), lse = Bounded(dls.size());
    dq = Bounded(qs.size()), dk = Bounded(ks.size()), dv = Bounded(vs.size());
    const double scale =
        spec.score.scale != 0 ? spec.score.scale : 1 / std::sqrt(static_cast<double>(D));
    const bool causal = spec.pattern.kind == AttentionPattern::Kind::causal;
    const int64_t offset = spec.pattern.query_offset;
    for (int64_t b = 0; b < B; ++b) {
      for (int64_t h = 0; h < H; ++h) {
        const int64_t hk = h / (H / Hkv);
        const kernels::attn::DropoutMask mask(spec, b, h);
        for (int64_t i = 0; i < N; ++i) {
          auto qi = [&](int64_t d) { return static_cast<size_t>(((b * H + h) * N + i) * D + d); };
          auto oi = [&](int64_t d) { return static_cast<size_t>(((b * H + h) * N + i) * Dv + d); };
          auto kj = [&](int64_t j, int64_t d) {
            return static_cast<size_t>(((b * Hkv + hk) * M + j) * D + d);
          };
          auto vj = [&](int64_t j, int64_t d) {
            return static_cast<size_t>(((b * Hkv + hk) * M + j) * Dv + d);
          };
          const auto row = static_cast<size_t>((b * H + h) * N + i);
          std::vector<double> s(static_cast<size_t>(M), -std::numeric_limits<double>::infinity());
          double max = -std::numeric_limits<double>::infinity(), sum = 0;
          for (int64_t j = 0; j < M; ++j) {
            if (causal && j > i + offset) continue;
            double dot = 0, size = 0;
            for (int64_t d = 0; d < D; ++d) {
              dot += scale * qs[qi(d)] * ks[kj(j, d)];
              size += std::abs(scale * qs[qi(d)] * ks[kj(j, d)]);
            }
            if (!spec.score.alibi.empty()) {
              const double bias = -static_cast<double>(spec.score.alibi[static_cast<size_t>(h)]) *
                                  static_cast<double>(i + offset - j);
              dot += bias;
              size += std::abs(bias);
            }
            logit_size = std::max(logit_size, size);
            s[static_cast<size_t>(j)] = dot;
            max = std::max(max, dot);
          }
          for (const double x : s) sum += std::isinf(x) ? 0 : std::exp(x - max);
          lse.value[row] = sum == 0 ? max : max + std::log(sum);
          lse.magnitude[row] = 1 + std::abs(max);
          auto p = [&](int64_t j) { return std::exp(s[static_cast<size_t>(j)] - lse.value[row]); };
          auto seen = [&](int64_t j) { return !std::isinf(s[static_cast<size_t>(j)]); };
          auto factor = [&](int64_t j) {
            return spec.dropout == 0 ? 1.0 : (mask.keeps(i, j) ? 1 / (1 - spec.dropout) : 0.0);
          };
          double delta = -dls[row], delta_size = std::abs(dls[row]);
          for (int64_t j = 0; j < M; ++j) {
            if (!seen(j)) continue;
            for (int64_t d = 0; d < Dv; ++d) {
              const double term = factor(j) * p(j) * vs[vj(j, d)];
              out.add(oi(d), term, std::abs(term));
            }
          }
          for (int64_t d = 0; d < Dv; ++d) {
            delta += dos[oi(d)] * out.value[oi(d)];
            delta_size += std::abs(dos[oi(d)]) * out.magnitude[oi(d)];
          }
          for (int64_t j = 0; j < M; ++j) {
            if (!seen(j)) continue;
            double dp = 0, dp_size = 0;
            for (int64_t d = 0; d < Dv; ++d) {
              dp += factor(j) * dos[oi(d)] * vs[vj(j, d)];
              dp_size += std::abs(factor(j) * dos[oi(d)] * vs[vj(j, d)]);
              const double term = factor(j) * p(j) * dos[oi(d)];
              dv.add(vj(j, d), term, std::abs(term));
            }
            const double ds = scale * p(j) * (dp - delta);
            const double ds_size = std::abs(scale) * p(j) * (dp_size + delta_size);
            for (int64_t d = 0; d < D; ++d) {
              dq.add(qi(d), ds * ks[kj(j, d)], ds_size * std::abs(ks[kj(j, d)]));
              dk.add(kj(j, d), ds * qs[qi(d)], ds_size * std::abs(qs[qi(d)]));
            }
          }
        }
      }
    }
  }
};

}  // namespace heed::testing
