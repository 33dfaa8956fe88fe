// From a FusedCall to what the kernels for sm_90a are given.
#pragma once

#include "kernels/attention/cuda/hopper/steps.h"
#include "kernels/attention/cuda/launches.h"

namespace heed::kernels::cuda {

/// The rows of a tensor of that many heads and tokens, as the copy engine is told of them.
inline MappedTensor mapped(const FusedCall& c, const attn::FusedRows& rows, int32_t heads,
                           int32_t tokens) {
  return {rows.data, rows.width, tokens, heads, c.batch, rows.row, rows.head, rows.batch};
}
inline bool gathers(const FusedCall& c) {
  return c.plan.queries.order != nullptr || c.plan.keys.order != nullptr;
}

/// Multiprocessors of the current device.
int multiprocessors();

/// The call for lines of queries or of keys: `own` is what lines have, `passing` what passes by.
/// `second_own` may have no data.
template <bool kByKeys>
HopperCall hopper_call(const FusedCall& c, const attn::FusedRows& own,
                       const attn::FusedRows& second_own, const attn::FusedRows& passing,
                       const attn::FusedRows& second_passing, int32_t* counter) {
  HopperCall h;
  h.call = c;
  h.own_rows[0] = own, h.own_rows[1] = second_own;
  h.passing_rows[0] = passing, h.passing_rows[1] = second_passing;
  h.gathers = gathers(c);
  const auto map = [&](const attn::FusedRows& rows, bool of_keys) {
    if (h.gathers || rows.data == nullptr) return TensorMap{};
    return map_of(mapped(c, rows, of_keys ? c.kv_heads : c.heads, of_keys ? c.keys : c.queries),
                  kDeviceTile);
  };
  for (int i = 0; i < 2; ++i) {
    h.own[i] = map(h.own_rows[i], kByKeys);
    h.passing[i] = map(h.passing_rows[i], !kByKeys);
  }
  const attn::DevicePlan::Side& side = kByKeys ? c.plan.keys : c.plan.queries;
  h.heaviest = side.heaviest;
  h.items = (side.lines + kGroups - 1) / kGroups * c.batch * (kByKeys ? c.kv_heads : c.heads);
  h.next = counter;
  h.statistics = reinterpret_cast<const QueryStatistics*>(c.statistics);
  return h;
}

/// One block a multiprocessor, as far as there are items.
template <class Shape>
void launch_hopper(void (*kernel)(HopperCall), const HopperCall& h) {
  launch(kernel, static_cast<unsigned>(std::min(h.items, multiprocessors())), kHopperThreads,
         Shape::kSharedBytes, current_stream(), h);
}

/// Calls fn(width, Count<terms>).
template <class Width, class Fn>
void with_terms(const FusedCall& c, Width width, const Fn& fn) {
  if (c.score.any)
    fn(width, Count<1>());
  else
    fn(width, Count<0>());
}

/// Calls fn(Count<width>, Count<terms>) for widths up to 128; 96 and 32 share a wider one's
/// instance: what is beyond the rows' width comes as zeros.
template <class Fn>
void with_hopper_instance(const FusedCall& c, const Fn& fn) {
  if (widest(c) <= 64) return with_terms(c, Count<64>(), fn);
  with_terms(c, Count<128>(), fn);
}

}  // namespace heed::kernels::cuda
