// One call of linear attention: sizes, operands, how tokens are cut.
#pragma once

#include <algorithm>

#include "kernels/attention/plan.h"
#include "kernels/attention/tiles.h"
#include "kernels/linear_attention/chunks.h"
#include "kernels/linear_attention/linear_attention.h"

namespace heed::kernels::linear {

inline constexpr int64_t kUnit = 16;  // packed rows and widths are multiples of this

struct Problem {
  int64_t batch = 0, heads = 0, tokens = 0, key_dim = 0, value_dim = 0;
  Gate gate = Gate::none;
  bool initial = false;  // whether there is a state before the first token

  int64_t sequences() const { return batch * heads; }
  int64_t chunks() const { return (tokens + kChunk - 1) / kChunk; }
};

/// Contiguous rows; log_decay contiguous, f32 or f64.
struct Operands {
  const Tensor &q, &k, &v, &log_decay;
};

/// Chunk `index` of sequence (b, h).
struct Chunk {
  int64_t b, h, index, first, rows;

  /// Number `task` of all chunks, sequence by sequence.
  Chunk(const Problem& p, int64_t task)
      : b(task / p.chunks() / p.heads),
        h(task / p.chunks() % p.heads),
        index(task % p.chunks()),
        first(index * kChunk),
        rows(std::min(kChunk, p.tokens - first)) {}
};

/// A state for each sequence and border: border c lies before chunk c, the last behind all. Rows
/// are those of S, zero-padded to `rows` x `width`.
struct States {
  Tensor storage;  // [sequences, chunks + 1, rows, width]

  static States empty(const Problem& p, DType dtype, Device device) {
    const auto rows = static_cast<int64_t>(attn::padded(p.key_dim));
    const auto width = static_cast<int64_t>(attn::padded(p.value_dim));
    return {Tensor::empty({p.sequences(), p.chunks() + 1, rows, width}, dtype, device)};
  }
  int64_t rows() const { return storage.size(2); }
  int64_t width() const { return storage.size(3); }
  int64_t size() const { return rows() * width(); }
  template <class T>
  T* at(int64_t sequence, int64_t border) const {
    return storage.data<T>() + (sequence * storage.size(1) + border) * size();
  }
};

struct Gradients {
  const Tensor &dq, &dk, &dv, &dlog_decay;
};

/// f32 and bf16. `states` has its first border filled in and receives the others.
void chunked_forward(const Problem& p, const Operands& x, const States& states, const Tensor& out);
/// `dstates` has its last border filled in and receives the others; dout may be undefined.
void chunked_backward(const Problem& p, const Operands& x, const Tensor& dout, const States& states,
                      const States& dstates, const Gradients& grads);

/// The same on a device, of every dtype (f64, f32, bf16).
void device_forward(const Problem& p, const Operands& x, const States& states, const Tensor& out);
void device_backward(const Problem& p, const Operands& x, const Tensor& dout, const States& states,
                     const States& dstates, const Gradients& grads);

/// The same in f64, as the recurrence reads.
void recurrent_forward(const Problem& p, const Operands& x, const States& states,
                       const Tensor& out);
void recurrent_backward(const Problem& p, const Operands& x, const Tensor& dout,
                        const States& states, const States& dstates, const Gradients& grads);

}  // namespace heed::kernels::linear
