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

}  // namespace heed::testing
