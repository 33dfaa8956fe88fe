// Which instance of a kernel takes a call. Each kernel's instances for a type are a source of their
// own: nvcc compiles them side by side.
#pragma once

#include "kernels/attention/cuda/fused_call.h"
#include "kernels/cuda/rows.h"

namespace heed::kernels::cuda {

void forward_bf16(const attn::FusedCall& c);
void backward_queries_bf16(const attn::FusedCall& c);
void backward_keys_bf16(const attn::FusedCall& c);
void forward_f32(const attn::FusedCall& c);
void backward_queries_f32(const attn::FusedCall& c);
void backward_keys_f32(const attn::FusedCall& c);

/// The width of the call's rows as an instance has it.
inline int widest(const attn::FusedCall& c) {
  return c.head_dim > c.value_dim ? c.head_dim : c.value_dim;
}

/// Calls fn(Count<width>, Count<terms>).
template <class Fn>
void with_bf16_instance(const attn::FusedCall& c, const Fn& fn) {
  const auto with_terms = [&](auto width) {
    if (c.score.any)
      fn(width, Count<1>());
    else
      fn(width, Count<0>());
  };
  const int width = widest(c);
  if (width <= 32) return with_terms(Count<32>());
  if (width <= 64) return with_terms(Count<64>());
  if (width <= 128) return with_terms(Count<128>());
  with_terms(Count<256>());
}

/// Calls fn(Count<width>): f32 has the instances with all terms alone.
template <class Fn>
void with_f32_instance(const attn::FusedCall& c, const Fn& fn) {
  if (widest(c) <= 64) return fn(Count<64>());
  fn(Count<128>());
}

}  // namespace heed::kernels::cuda
