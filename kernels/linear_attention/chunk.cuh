// What the kernels of linear attention share: rows and states, a chunk's decays, and products of
// 64 x 64 tiles by a block of 256 threads, each of which holds 4 x 4 of a tile.
#pragma once

#include "kernels/cuda/each.h"
#include "kernels/cuda/functors.h"
#include "kernels/cuda/shared.h"
#include "kernels/linear_attention/device_linear.h"

namespace heed::kernels::cuda::linear_attention {

using linear::Gate;
using linear::kChunk;

inline constexpr int kTile = 64, kSlice = 16, kThreads = 256, kHeld = 4;

/// Chunk number `task` of all, sequence by sequence.
struct Chunk {
  int64_t sequence, b, h, index, first;
  int rows;

  __device__ Chunk(const DeviceLinear& p, int64_t task)
      : sequence(task / p.chunks()),
        b(sequence / p.heads),
        h(sequence % p.heads),
        index(task % p.chunks()),
        first(index * kChunk),
        rows(static_cast<int>(p.tokens - first < kChunk ? p.tokens - first : kChunk)) {}
};

/// The rows of a chunk, 0 beyond its tokens and their width.
template <class T>
struct ChunkRows {
  using A = accumulate_t<T>;
  T* data;
  int64_t stride, width;
  int rows;

  __device__ ChunkRows(const LinearRows& r, int64_t width_, const Chunk& c)
      : data(static_cast<T*>(r.data) + c.b * r.batch_stride + c.h * r.head_stride +
             c.first * r.row_stride),
        stride(r.row_stride),
        width(width_),
        rows(c.rows) {}
  /// Of A [sequences, N, width].
  __device__ ChunkRows(void* dense, int64_t tokens, int64_t width_, const Chunk& c)
      : data(static_cast<T*>(dense) + (c.sequence * tokens + c.first) * width_),
        stride(width_),
        width(width_),
        rows(c.rows) {}

  __device__ A at(int64_t t, int64_t d) const {
    return t < rows && d < width ? static_cast<A>(data[t * stride + d]) : A(0);
  }
  __device__ void put(int64_t t, int64_t d, A value) const {
    if (t < rows && d < width) data[t * stride + d] = static_cast<T>(value);
  }
};

/// The state at a border, 0 beyond [key_dim, value_dim].
template <class A>
struct State {
  A* data;
  int64_t width, keys, values;

  __device__ State(const LinearStates& s, const DeviceLinear& p, int64_t sequence, int64_t border)
      : data(static_cast<A*>(s.data) + (sequence * (p.chunks() + 1) + border) * s.rows * s.width),
        width(s.width),
        keys(p.key_dim),
        values(p.value_dim) {}

  __device__ A& operator()(int64_t d, int64_t e) const { return data[d * width + e]; }
  __device__ A at(int64_t d, int64_t e) const {
    return d < keys && e < values ? data[d * width + e] : A(0);
  }
};

/// Decays of a chunk whose gate is one number for a token, in shared memory. Sums of logarithms are
/// kept in f64: a decay between two tokens is the exponential of a difference of them.
template <class A>
struct TokenDecays {
  double log[kChunk];  // of the product of the decays up to and with row i
  A from_start[kChunk], to_end[kChunk];

  /// By all threads; a barrier must follow.
  __device__ void fill(const DeviceLinear& p, const Chunk& c) {
    const A* g = static_cast<const A*>(p.log_decay) + c.sequence * p.tokens + c.first;
    const auto log_of = [g](int i) {
      const double value = static_cast<double>(g[i]);
      return value > double{linear::kLeastLog} ? value : double{linear::kLeastLog};
    };
    for (int i = static_cast<int>(threadIdx.x); i < kChunk; i += static_cast<int>(blockDim.x)) {
      double sum = 0, behind = 0;
      for (int j = 0; j <= i && j < c.rows; ++j) sum += log_of(j);
      for (int j = c.rows - 1; j > i; --j) behind += log_of(j);
      log[i] = sum;
      from_start[i] = on_device::exp(static_cast<A>(sum));
      to_end[i] = on_device::exp(static_cast<A>(behind));
    }
  }
  /// Between tokens i >= j.
  __device__ A between(int i, int j) const {
    return on_device::exp(static_cast<A>(log[i] - log[j]));
  }
};

/// Operands of tile products: at(row or column, depth), neighbours in memory along the depth, or
/// across it.
template <class Fn>
struct AlongDepth {
  Fn at;
  static constexpr bool kAlong = true;
};
template <class Fn>
AlongDepth(Fn) -> AlongDepth<Fn>;
template <class Fn>
struct AcrossDepth {
  Fn at;
  static constexpr bool kAlong = false;
};
template <class Fn>
AcrossDepth(Fn) -> AcrossDepth<Fn>;

/// A thread's part of a tile: rows row(i), columns column(j).
template <class A>
struct Held {
  A value[kHeld][kHeld] = {};

  __device__ static int row(int i) { return static_cast<int>(threadIdx.x) / kSlice + i * kSlice; }
  __device__ static int column(int j) {
    return static_cast<int>(threadIdx.x) % kSlice + j * kSlice;
  }
  /// Calls fn(row, column, value) for each.
  template <class Fn>
  __device__ void each(Fn fn) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
#pragma unroll
      for (int j = 0; j < kHeld; ++j) fn(row(i), column(j), value[i][j]);
    }
  }
};

/// Slices of both operands in shared memory.
template <class A>
struct Slices {
  A a[kSlice][kTile + 1], b[kSlice][kTile + 1];

  template <class Operand>
  __device__ static void load(A (&to)[kSlice][kTile + 1], int64_t first, const Operand& from) {
    for (int n = static_cast<int>(threadIdx.x); n < kSlice * kTile; n += kThreads) {
      const int i = Operand::kAlong ? n / kSlice : n % kTile;
      const int k = Operand::kAlong ? n % kSlice : n / kTile;
      to[k][i] = from.at(i, first + k);
    }
  }

  /// held += a b over the depth, of which operands give 0 beyond what they have. What operands read
  /// of shared memory has been written by all.
  template <class OperandA, class OperandB>
  __device__ void multiply(int64_t depth, const OperandA& left, const OperandB& right,
                           Held<A>& held) {
    for (int64_t first = 0; first < depth; first += kSlice) {
      __syncthreads();  // slices before have been used, and what operands read was written
      load(a, first, left);
      load(b, first, right);
      __syncthreads();
#pragma unroll 4
      for (int k = 0; k < kSlice; ++k) {
        A x[kHeld], y[kHeld];
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
          x[i] = a[k][Held<A>::row(i)];
          y[i] = b[k][Held<A>::column(i)];
        }
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
#pragma unroll
          for (int j = 0; j < kHeld; ++j) held.value[i][j] += x[i] * y[j];
        }
      }
    }
  }
};

/// Pairs of a chunk's tokens.
template <class A>
using Pairs = A[kTile][kTile + 1];

/// pairs[i][j] = a_i . b_j times the decay between them for j <= i, else 0.
template <class T, class A = accumulate_t<T>>
__device__ void fill_pairs(const ChunkRows<T>& a, const ChunkRows<T>& b,
                           const TokenDecays<A>* decays, Slices<A>& slices, Pairs<A>& pairs) {
  Held<A> held;
  slices.multiply(a.width, AlongDepth{[&](int i, int64_t k) { return a.at(i, k); }},
                  AlongDepth{[&](int j, int64_t k) { return b.at(j, k); }}, held);
  held.each([&](int i, int j, A value) {
    if (j > i) value = A(0);
    pairs[i][j] = decays != nullptr && j <= i ? value * decays->between(i, j) : value;
  });
}

/// What chunks add to the states, then the states themselves: forwards from the first border with
/// a = k and b = v, backwards from the last one with a = q and b = dout.
void run_states(const DeviceLinear& p, const LinearRows& a, const LinearRows& b, bool backwards,
                const LinearStates& states);

inline unsigned tiles(int64_t width) { return static_cast<unsigned>(ceil_div(width, kTile)); }
inline dim3 chunk_tiles(const DeviceLinear& p, int64_t width) {
  return {static_cast<unsigned>(p.sequences() * p.chunks()), tiles(width)};
}

}  // namespace heed::kernels::cuda::linear_attention
