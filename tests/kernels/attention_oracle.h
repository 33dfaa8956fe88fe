// Attention with materialised f64 scores, written from the formulas: the oracle of the fused
// kernels. Beside each result it gives the sum of the magnitudes that add up to it, from which the
// tests derive how far a result in finite precision may lie.
#pragma once

#include <algorithm>
#include <array>
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
  Bounded d_query_temperature, d_key_temperature, d_bias, d_table, d_sink;
  std::array<Bounded, kRelativeAxes> d_relative_logits;
  std::vector<double> probabilities;  // [B, H, N, M], without dropout
  std::vector<double> kept;           // what dropout multiplies them by
  std::vector<double> logits;         // -infinity where there is no pair
  double logit_size = 0;              // largest scale * sum |q||k| (plus ALiBi's term)

  /// What pair (i, j) looks up among `entries`.
  static int64_t entry_of(const RelativeIndex& r, int64_t entries, int64_t i, int64_t j) {
    int64_t x = r.key[static_cast<size_t>(j)] - r.query[static_cast<size_t>(i)];
    if (!r.map.empty()) x = r.map.at(static_cast<size_t>(x));
    return std::clamp<int64_t>(x, 0, entries - 1);
  }

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
    const int64_t offset = spec.pattern.query_offset;
    const auto plan = kernels::attn::tile_plan(spec.pattern, {B, H, N, M});
    const AttentionScore& score = spec.score;
    // A tensor of the score: its elements, and the place of (b, h, i, j) in it.
    struct Part {
      std::vector<double> values;
      std::vector<int64_t> extents;
      size_t at(std::initializer_list<int64_t> place) const {
        size_t flat = 0, d = 0;
        for (const int64_t p : place) {
          const int64_t n = extents[d++];
          flat = flat * static_cast<size_t>(n) + static_cast<size_t>(n == 1 ? 0 : p);
        }
        return flat;
      }
    };
    const auto part = [](const Tensor& t, Bounded& gradient) {
      Part p;
      if (!t.defined()) return p;
      p.values = t.to_vector<double>();
      for (int d = 0; d < t.rank(); ++d) p.extents.push_back(t.size(d));
      gradient = Bounded(p.values.size());
      return p;
    };
    const Part tq = part(score.query_temperature, d_query_temperature);
    const Part tk = part(score.key_temperature, d_key_temperature);
    const Part bias = part(score.bias, d_bias), table = part(score.table, d_table);
    const Part sink = part(score.sink, d_sink);
    const auto sink_at = [&](int64_t b, int64_t h, int64_t i) {
      return sink.extents.size() == 1 ? sink.at({h}) : sink.at({b, h, i});
    };
    std::vector<Part> rows;
    for (size_t a = 0; a < kRelativeAxes; ++a)
      rows.push_back(part(score.relative_logits[a].logits, d_relative_logits[a]));
    const auto entry = [&](int64_t i, int64_t j) {
      return entry_of(*score.relative, table.extents[1], i, j);
    };
    const auto row_entry = [&](size_t a, int64_t i, int64_t j) {
      return entry_of(*score.relative_logits[a].relative, rows[a].extents[3], i, j);
    };
    probabilities.assign(static_cast<size_t>(B * H * N * M), 0.0);
    kept.assign(probabilities.size(), 0.0);
    logits.assign(probabilities.size(), -std::numeric_limits<double>::infinity());
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
          std::vector<double> products(s.size()), slopes(s.size(), 1.0), heat(s.size(), 1.0);
          const int64_t beyond = spec.pattern.is_dense() ? 0 : spec.pattern.rule()->virtual_keys(i);
          const double none = -std::numeric_limits<double>::infinity();
          const double sink_logit = sink.values.empty() ? none : sink.values[sink_at(b, h, i)];
          double max = std::max(sink_logit, beyond > 0 ? 0.0 : none), sum = 0;
          for (int64_t j = 0; j < M; ++j) {
            if (!spec.pattern.allowed(b, h, i, j)) continue;
            const auto js = static_cast<size_t>(j);
            double dot = 0, size = 0;
            for (int64_t d = 0; d < D; ++d) {
              dot += qs[qi(d)] * ks[kj(j, d)];
              size += std::abs(qs[qi(d)] * ks[kj(j, d)]);
            }
            products[js] = dot;
            if (!tq.values.empty()) heat[js] *= tq.values[tq.at({b, h, i})];
            if (!tk.values.empty()) heat[js] *= tk.values[tk.at({b, h, j})];
            double x = scale * heat[js] * dot;
            size *= std::abs(scale * heat[js]);
            if (score.softcap != 0) {
              const double bent = std::tanh(x / score.softcap);
              slopes[js] = 1 - bent * bent;
              x = score.softcap * bent;
              size += score.softcap;
            }
            const auto add = [&](double term) {
              x += term;
              size += std::abs(term);
            };
            if (!bias.values.empty()) add(bias.values[bias.at({b, h, i, j})]);
            if (!table.values.empty()) add(table.values[table.at({h, entry(i, j)})]);
            for (size_t a = 0; a < kRelativeAxes; ++a)
              if (!rows[a].values.empty())
                add(rows[a].values[rows[a].at({b, h, i, row_entry(a, i, j)})]);
            if (!score.alibi.empty())
              add(-static_cast<double>(score.alibi[static_cast<size_t>(h)]) *
                  static_cast<double>(score.alibi_step * (i + offset - j)));
            logit_size = std::max(logit_size, size);
            s[js] = x;
            max = std::max(max, x);
          }
          for (const double x : s) sum += std::isinf(x) ? 0 : std::exp(x - max);
          if (!std::isinf(sink_logit)) sum += std::exp(sink_logit - max);
          if (beyond > 0) sum += static_cast<double>(beyond) * std::exp(-max);
          lse.value[row] = sum == 0 ? max : max + std::log(sum);
          lse.magnitude[row] = 1 + std::abs(max);
          auto p = [&](int64_t j) { return std::exp(s[static_cast<size_t>(j)] - lse.value[row]); };
          auto seen = [&](int64_t j) { return !std::isinf(s[static_cast<size_t>(j)]); };
          auto factor = [&](int64_t j) {
            return spec.dropout == 0 ? 1.0
                                     : (mask.keeps(plan->query_slot(i), plan->key_slot(j))
                                            ? 1 / (1 - spec.dropout)
                                            : 0.0);
          };
          for (int64_t j = 0; j < M; ++j) {
            if (!seen(j)) continue;
            const size_t at = row * static_cast<size_t>(M) + static_cast<size_t>(j);
            probabilities[at] = p(j), kept[at] = factor(j), logits[at] = s[static_cast<size_t>(j)];
          }
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
          if (!sink.values.empty()) {
            const double share = std::exp(sink_logit - lse.value[row]);
            d_sink.add(sink_at(b, h, i), -share * delta, share * delta_size);
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
            const auto js = static_cast<size_t>(j);
            const double dlogit = p(j) * (dp - delta), dlogit_size = p(j) * (dp_size + delta_size);
            if (!bias.values.empty()) d_bias.add(bias.at({b, h, i, j}), dlogit, dlogit_size);
            if (!table.values.empty()) d_table.add(table.at({h, entry(i, j)}), dlogit, dlogit_size);
            for (size_t a = 0; a < kRelativeAxes; ++a)
              if (!rows[a].values.empty())
                d_relative_logits[a].add(rows[a].at({b, h, i, row_entry(a, i, j)}), dlogit,
                                         dlogit_size);
            const double dx = dlogit * slopes[js], dx_size = dlogit_size;
            const double t = scale * products[js];
            if (!tq.values.empty()) {
              const size_t at = tq.at({b, h, i});
              const double by = t * heat[js] / tq.values[at];
              d_query_temperature.add(at, dx * by, dx_size * (std::abs(by) + logit_size));
            }
            if (!tk.values.empty()) {
              const size_t at = tk.at({b, h, j});
              const double by = t * heat[js] / tk.values[at];
              d_key_temperature.add(at, dx * by, dx_size * (std::abs(by) + logit_size));
            }
            const double ds = scale * heat[js] * dx;
            const double ds_size = std::abs(scale * heat[js]) * dx_size;
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
