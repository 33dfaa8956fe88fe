#include "kernels/attention/cuda/fused.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "core/op_call.h"
#include "kernels/attention/call.h"
#include "kernels/attention/cuda/device_plan.h"
#include "kernels/elementwise/accumulate.h"

namespace heed::kernels::attn {

DeviceKernel<void(const FusedCall&)> fused_forward_cuda, fused_backward_cuda;
DeviceKernel<bool(const FusedCall&)> fused_fits_hopper_cuda;

namespace {

FusedRows rows_of(const Tensor& x) {
  if (!x.defined()) return {};
  const int64_t lanes = 16 / static_cast<int64_t>(size_of(x.dtype()));
  const auto aligned = [&](int d) { return x.size(d) == 1 || x.stride(d) % lanes == 0; };
  const bool wide = x.size(3) % lanes == 0 && aligned(0) && aligned(1) && aligned(2) &&
                    reinterpret_cast<uintptr_t>(x.raw()) % 16 == 0;
  return {x.raw(), x.stride(0), x.stride(1), x.stride(2), static_cast<int32_t>(x.size(3)), wide};
}

FusedTerm term_of(const Tensor& t) {
  if (!t.defined()) return {};
  const auto stride = [&](int d) { return t.size(d) == 1 ? int64_t{0} : t.stride(d); };
  return {t.data<float>(), stride(0), stride(1), stride(2), stride(3)};
}

FusedScore score_of(const Problem& p, Device device) {
  const AttentionScore& s = p.spec.score;
  const ScoreTensors& t = p.tensors;
  FusedScore f;
  f.scale = static_cast<float>(HeadScore(s, p.e, 0).scale);
  f.softcap = static_cast<float>(s.softcap);
  f.query_temperature = term_of(t.query_temperature);
  f.key_temperature = term_of(t.key_temperature);
  f.bias = term_of(t.bias), f.table = term_of(t.table), f.sink = term_of(t.sink);
  if (s.relative) f.table_index = device_index(s.relative, t.table.size(3), device);
  f.alibi = device_slopes(s, device);
  f.offset = p.offset();
  f.any = f.scale <= 0 || f.softcap != 0 || f.query_temperature.data || f.key_temperature.data ||
          f.bias.data || f.table.data || f.sink.data || f.alibi || p.has_virtual_keys() ||
          p.spec.dropout > 0.0;
  for (size_t a = 0; a < kRelativeAxes; ++a) {
    const Tensor& logits = t.relative_logits[a];
    if (!logits.defined()) continue;
    f.relative[a] = term_of(logits);
    f.relative_index[a] = device_index(s.relative_logits[a].relative, logits.size(3), device);
    f.any = true;
  }
  return f;
}

FusedDropout dropout_of(const AttentionSpec& spec) {
  if (spec.dropout == 0.0) return {};
  const DropoutMask mask(spec, 0, 0);
  return {mask.threshold(),    static_cast<float>(mask.keep_scale()),
          spec.dropout_key,    spec.dropout_row,
          spec.dropout_head,   mask.queries().first,
          mask.queries().step, mask.keys().first,
          mask.keys().step};
}

FusedCall call_of(const Problem& p, const Tensor& q, const Tensor& k, const Tensor& v) {
  const Extents& e = p.e;
  FusedCall c;
  c.dtype = q.dtype();
  const auto number = [](int64_t n) { return static_cast<int32_t>(n); };
  c.batch = number(e.batch), c.heads = number(e.heads), c.kv_heads = number(e.kv_heads);
  c.queries = number(e.queries), c.keys = number(e.keys);
  c.head_dim = number(e.head_dim), c.value_dim = number(e.value_dim);
  c.q = rows_of(q), c.k = rows_of(k), c.v = rows_of(v);
  c.plan = device_plan(p, q.device());
  c.score = score_of(p, q.device());
  c.dropout = dropout_of(p.spec);
  return c;
}

/// The spec with its score's tensors where q is: masks may come from the host.
AttentionSpec on_device(const AttentionSpec& spec, Device device) {
  AttentionSpec there = spec;
  AttentionScore& s = there.score;
  std::vector<Tensor*> tensors = {&s.query_temperature, &s.key_temperature, &s.bias, &s.table,
                                  &s.sink};
  for (RelativeLogits& r : s.relative_logits) tensors.push_back(&r.logits);
  for (Tensor* t : tensors)
    if (t->defined()) *t = t->to(device);
  return there;
}

/// Parts of the keys: where blocks of queries alone would leave most of a device idle, as when
/// decoding. Depends on the problem alone, so that results do not depend on the device.
int64_t splits_of(const Extents& e) {
  constexpr int64_t kManyBlocks = 128, kPartKeys = 512;
  const int64_t blocks = e.batch * e.heads * ((e.queries + kTileSide - 1) / kTileSide);
  if (blocks >= kManyBlocks || e.queries > kTileSide) return 1;
  return std::max<int64_t>(1, (e.keys + kPartKeys - 1) / kPartKeys);
}

/// What the kernels for sm_90a need beside the call, and keep while they run.
struct HopperMemory {
  Tensor counters, statistics;

  HopperMemory(const OpCall& call, FusedCall& c, Device device) {
    if (fused_kernels() == FusedKernels::portable || !fused_fits_hopper_cuda(call, c)) return;
    counters = Tensor::zeros({2}, DType::i32, device);
    c.counters = counters.data<int32_t>();
    if (c.dout.data == nullptr) return;
    const int64_t slots = int64_t{c.plan.queries.lines} * kDeviceTile;
    statistics = Tensor::empty({c.batch, c.heads, slots, 2}, DType::f32, device);
    c.statistics = statistics.data<float>();
  }
};

std::atomic<int> used_kernels{-1};  // a FusedKernels; -1: the environment's

}  // namespace

FusedKernels fused_kernels() {
  if (const int used = used_kernels; used >= 0) return static_cast<FusedKernels>(used);
  static const FusedKernels wanted = [] {
    const char* value = std::getenv("HEED_ATTENTION_KERNEL");
    const std::string_view word = value == nullptr ? "" : value;
    if (word == "portable") return FusedKernels::portable;
    if (!word.empty() && word != "auto")
      fail_request("HEED_ATTENTION_KERNEL is '{}'; it takes auto or portable", word);
    return FusedKernels::automatic;
  }();
  return wanted;
}

UseFusedKernels::UseFusedKernels(FusedKernels kernels)
    : before_(used_kernels.exchange(static_cast<int>(kernels))) {}
UseFusedKernels::~UseFusedKernels() { used_kernels = before_; }

bool fits_fused_cuda(const Tensor& q, const Tensor& v, const AttentionSpec&,
                     const ScoreWants& wants) {
  if (q.rank() != 4 || v.rank() != 4) return false;
  bool gradients =
      wants.query_temperature || wants.key_temperature || wants.bias || wants.table || wants.sink;
  for (const bool wanted : wants.relative_logits) gradients = gradients || wanted;
  const int64_t width = std::max(q.size(3), v.size(3));
  return !gradients &&
         ((q.dtype() == DType::bf16 && width <= 256) || (q.dtype() == DType::f32 && width <= 128));
}

AttentionOutput fused_cuda_forward(const Tensor& q_in, const Tensor& k_in, const Tensor& v_in,
                                   const AttentionSpec& spec) {
  const Extents e = checked_extents(q_in, k_in, v_in, spec);
  const OpCall call("attention", q_in, k_in, v_in);
  const AttentionSpec there = on_device(spec, q_in.device());
  const Problem problem(e, there, DType::f32);
  const Tensor q = with_contiguous_rows(q_in), k = with_contiguous_rows(k_in),
               v = with_contiguous_rows(v_in);
  count_products(problem, 1, 1);
  const AttentionOutput result{
      token_major(e.batch, e.heads, e.queries, e.value_dim, q.dtype(), q.device()),
      Tensor::empty({e.batch, e.heads, e.queries}, DType::f32, q.device())};
  FusedCall c = call_of(problem, q, k, v);
  c.out = rows_of(result.out);
  c.lse = result.lse.data<float>();
  Tensor partial;
  if (const int64_t splits = splits_of(e); splits > 1) {
    partial = Tensor::empty({e.batch, e.heads, e.queries, splits, e.value_dim + 2}, DType::f32,
                            q.device());
    c.splits = static_cast<int32_t>(splits);
    c.partial = partial.data<float>();
  }
  if (result.lse.numel() == 0) return result;
  const HopperMemory hopper(call, c, q.device());
  fused_forward_cuda(call, c);
  return result;
}

bool takes_hopper(const Tensor& q_in, const Tensor& k_in, const Tensor& v_in,
                  const AttentionSpec& spec) {
  const Extents e = checked_extents(q_in, k_in, v_in, spec);
  const OpCall call("attention", q_in, k_in, v_in);
  const AttentionSpec there = on_device(spec, q_in.device());
  const Problem problem(e, there, DType::f32);
  const Tensor q = with_contiguous_rows(q_in), k = with_contiguous_rows(k_in),
               v = with_contiguous_rows(v_in);
  FusedCall c = call_of(problem, q, k, v);
  c.out = rows_of(token_major(q));
  c.splits = static_cast<int32_t>(splits_of(e));
  return fused_kernels() == FusedKernels::automatic && fused_fits_hopper_cuda(call, c);
}

AttentionGradients fused_cuda_backward(const Tensor& dout_in, const Tensor& dlse_in,
                                       const Tensor& q_in, const Tensor& k_in, const Tensor& v_in,
                                       const AttentionOutput& forward, const AttentionSpec& spec,
                                       bool want_q, bool want_kv, AttentionGradients into) {
  const Extents e = checked_extents(q_in, k_in, v_in, spec);
  const OpCall call("attention backward", q_in, k_in, v_in, dout_in, forward.lse);
  const AttentionSpec there = on_device(spec, q_in.device());
  const Problem problem(e, there, DType::f32);
  const Tensor q = with_contiguous_rows(q_in), k = with_contiguous_rows(k_in),
               v = with_contiguous_rows(v_in);
  const auto with_rows = [&](const Tensor& x) {
    return with_contiguous_rows(x.dtype() == q.dtype() ? x : contiguous_as(x, q.dtype()));
  };
  const Tensor dout = with_rows(dout_in);
  const Tensor out = forward.out.defined() ? with_rows(forward.out) : Tensor();
  const Tensor lse = contiguous_as(forward.lse, DType::f32);
  const Tensor dlse = dlse_in.defined() ? contiguous_as(dlse_in, DType::f32) : Tensor();
  const Tensor delta = Tensor::empty(lse.shape(), DType::f32, q.device());
  count_products(problem, 3, 2);
  AttentionGradients grads;
  const auto prepare = [](const Tensor& given, const Tensor& of) {
    return given.defined() ? given : token_major(of);
  };
  if (want_q) grads.dq = prepare(into.dq, q);
  if (want_kv) grads.dk = prepare(into.dk, k), grads.dv = prepare(into.dv, v);
  FusedCall c = call_of(problem, q, k, v);
  c.out = rows_of(out), c.dout = rows_of(dout);
  c.dq = rows_of(grads.dq), c.dk = rows_of(grads.dk), c.dv = rows_of(grads.dv);
  c.lse = lse.data<float>(), c.delta = delta.data<float>();
  if (dlse.defined()) c.dlse = dlse.data<float>();
  const HopperMemory hopper(call, c, q.device());
  fused_backward_cuda(call, c);
  return grads;
}

}  // namespace heed::kernels::attn
