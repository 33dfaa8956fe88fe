// Fused attention on the device under test against materialised scores in f64
// (tests/kernels/attention_check.h has the bounds).
#pragma once

#include "kernels/attention/cuda/fused.h"
#include "tests/cuda/device_under_test.h"
#include "tests/kernels/attention_check.h"

namespace heed::testing {

inline Tensor on_device(const Tensor& t) { return t.defined() ? t.to(kDevice) : t; }
inline Tensor on_host(const Tensor& t) { return t.defined() ? t.to(kCpu) : t; }

inline AttentionSpec on_device(const AttentionSpec& spec) {
  AttentionSpec s = spec;
  for (Tensor* t : {&s.score.query_temperature, &s.score.key_temperature, &s.score.bias,
                    &s.score.table, &s.score.sink})
    *t = on_device(*t);
  for (RelativeLogits& r : s.score.relative_logits) r.logits = on_device(r.logits);
  return s;
}

inline Results run_on_device(const Inputs& in, const AttentionSpec& spec) {
  const AttentionSpec there = on_device(spec);
  const Tensor q = on_device(in.q), k = on_device(in.k), v = on_device(in.v);
  EXPECT_TRUE(kernels::attn::fits_fused_cuda(q, v, there));
  const AttentionOutput forward = kernels::attn::fused_cuda_forward(q, k, v, there);
  const AttentionGradients g = kernels::attn::fused_cuda_backward(
      on_device(in.dout), on_device(in.dlse), q, k, v, forward, there, true, true, {});
  AttentionGradients grads;
  grads.dq = on_host(g.dq), grads.dk = on_host(g.dk), grads.dv = on_host(g.dv);
  return {{on_host(forward.out), on_host(forward.lse)}, grads};
}

inline void expect_fused(const Sizes& s, DType dtype, const AttentionSpec& spec) {
  const Inputs in(s, dtype);
  expect_matches(s, dtype, spec, in, run_on_device(in, spec), /*score_gradients=*/false);
}

/// Work is done in every way that the device has; results are the same bits in all.
inline void expect_same_bits(const Sizes& s, DType dtype, const AttentionSpec& spec) {
  const Inputs in(s, dtype);
  std::vector<std::vector<double>> seen;
  for (int way = 0; way < ways_to_run(); ++way) {
    run_in_way(way, 3);
    const Results r = run_on_device(in, spec);
    std::vector<double> all;
    for (const Tensor& t : {r.forward.out, r.forward.lse, r.grads.dq, r.grads.dk, r.grads.dv}) {
      const auto values = t.to_vector<double>();
      all.insert(all.end(), values.begin(), values.end());
    }
    seen.push_back(all);
  }
  run_in_way(0);
  for (size_t way = 1; way < seen.size(); ++way)
    EXPECT_EQ(seen[0], seen[way]) << name(s) << ", way " << way;
}

/// Patterns of 140 queries and keys, a batch of two and two heads, with every kind of tile and of
/// order.
inline std::vector<AttentionPattern> patterns_of_every_kind() {
  const std::vector<int32_t> some = {0, 3, 70, 139, -1, 64};
  std::vector<int32_t> ids, documents;
  for (int i = 0; i < 140; ++i) {
    ids.insert(ids.end(), some.begin(), some.end());
    documents.push_back(i < 50 ? 0 : i < 53 ? 1 : 2);
  }
  return {
      AttentionPattern::window(20, 9, 3),
      AttentionPattern::window(3, 0) | AttentionPattern::prefix(2),
      AttentionPattern::prefix(0),
      AttentionPattern::prefix(64),
      AttentionPattern::lengths({140, 70}, {65, 140}),
      AttentionPattern::segments(documents),
      AttentionPattern::neighborhood({{.length = 10, .window = 3}, {.length = 14, .window = 5}}),
      AttentionPattern::neighborhood(
          {{.length = 10, .window = 3, .dilation = 2}, {.length = 14, .window = 5}}),
      AttentionPattern::windows({10, 14}, {4, 5}, {1, 2}),
      AttentionPattern::halo({{.length = 140, .block = 9, .halo = 4}}, Border::virtual_keys),
      AttentionPattern::per_head({AttentionPattern::causal(), AttentionPattern::window(5, 5)}),
      AttentionPattern::indices(ids, 1, 1, 140, 6),
      AttentionPattern::where("every seventh",
                              [](int64_t i, int64_t j) { return i == j || (i - j) % 7 == 0; }),
  };
}

}  // namespace heed::testing
