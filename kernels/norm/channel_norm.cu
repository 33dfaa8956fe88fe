// Sums: a block 32 channels of a piece, a warp every eighth of its rows; the warps' sums are added
// in order. Results: a thread an element. Neighbouring threads take neighbouring channels.
#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/cuda/shared.h"
#include "kernels/norm/device_channels.h"

namespace heed::kernels::cuda {
namespace {

constexpr int kSlices = 8;  // warps that share a channel's rows

template <class A>
struct SliceSums {
  A of[kSlices][kWarp];
};

// The sum of term(row) over the piece's rows for this lane's channel, which all warps get.
template <class A, class Term>
__device__ A sum_rows(int64_t rows, const Term& term) {
  SliceSums<A>& sums = shared<SliceSums<A>>();
  const int lane = static_cast<int>(threadIdx.x) % kWarp,
            slice = static_cast<int>(threadIdx.x) / kWarp;
  A sum = 0;
  for (int64_t row = slice; row < rows; row += kSlices) sum += term(row);
  __syncthreads();  // an earlier call may still be reading
  sums.of[slice][lane] = sum;
  __syncthreads();
  sum = sums.of[0][lane];
  for (int other = 1; other < kSlices; ++other) sum += sums.of[other][lane];
  return sum;
}

template <class T>
__global__ void sum_pieces(ChannelPieces p, bool moments) {
  using A = accumulate_t<T>;
  const int64_t piece = blockIdx.x, sample = piece / p.per_sample;
  const int64_t first_row = piece % p.per_sample * p.rows;
  const int64_t left = p.positions - first_row, rows = left < p.rows ? left : p.rows;
  const int64_t channel = int64_t{blockIdx.y} * kWarp + threadIdx.x % kWarp;
  const bool there = channel < p.channels;  // others read the last channel and write nothing
  const int64_t c = there ? channel : p.channels - 1;
  const int64_t begin = (sample * p.positions + first_row) * p.channels + c;
  const T* x = static_cast<const T*>(p.x) + begin;
  A first, second;
  if (moments) {
    const A base = static_cast<A>(x[0]);  // a large offset does not cost the sum its digits
    first = base + sum_rows<A>(rows, [&](int64_t row) {
                     return static_cast<A>(x[row * p.channels]) - base;
                   }) / static_cast<A>(rows);
    second = sum_rows<A>(rows, [&](int64_t row) {
      const A centred = static_cast<A>(x[row * p.channels]) - first;
      return centred * centred;
    });
  } else {
    const T* dy = static_cast<const T*>(p.dy) + begin;
    const A mean = static_cast<const A*>(p.mean)[sample * p.channels + c];
    first = sum_rows<A>(rows, [&](int64_t row) { return static_cast<A>(dy[row * p.channels]); });
    second = sum_rows<A>(rows, [&](int64_t row) {
      return static_cast<A>(dy[row * p.channels]) * (static_cast<A>(x[row * p.channels]) - mean);
    });
  }
  if (threadIdx.x >= kWarp || !there) return;
  static_cast<A*>(p.first)[piece * p.channels + c] = first;
  static_cast<A*>(p.second)[piece * p.channels + c] = second;
}

template <class T>
__global__ void forward(ChannelPieces p, int64_t elements) {
  using A = accumulate_t<T>;
  for_each(elements, [&](int64_t e) {
    const int64_t c = e % p.channels, at = e / p.channels / p.positions * p.channels + c;
    A out = (static_cast<A>(static_cast<const T*>(p.x)[e]) - static_cast<const A*>(p.mean)[at]) *
            static_cast<const A*>(p.scale)[at];
    if (p.offset != nullptr) out += static_cast<const A*>(p.offset)[c];
    static_cast<T*>(p.out)[e] = static_cast<T>(out);
  });
}

template <class T>
__global__ void backward(ChannelPieces p, int64_t elements) {
  using A = accumulate_t<T>;
  for_each(elements, [&](int64_t e) {
    const int64_t at = e / p.channels / p.positions * p.channels + e % p.channels;
    A out = static_cast<A>(static_cast<const T*>(p.dy)[e]) * static_cast<const A*>(p.scale)[at];
    if (p.slope != nullptr) {
      out += (static_cast<A>(static_cast<const T*>(p.x)[e]) - static_cast<const A*>(p.mean)[at]) *
                 static_cast<const A*>(p.slope)[at] +
             static_cast<const A*>(p.offset)[at];
    }
    static_cast<T*>(p.out)[e] = static_cast<T>(out);
  });
}

void run(ChannelStep step, const ChannelPieces& p) {
  const int64_t elements = p.samples * p.positions * p.channels;
  dispatch_floating(p.dtype, [&](auto type) {
    using T = decltype(type);
    if (step == ChannelStep::forward) return launch_each(forward<T>, elements, p);
    if (step == ChannelStep::backward) return launch_each(backward<T>, elements, p);
    const dim3 grid(static_cast<unsigned>(p.samples * p.per_sample),
                    static_cast<unsigned>(ceil_div(p.channels, kWarp)));
    launch(sum_pieces<T>, grid, kSlices * kWarp, 0, current_stream(), p,
           step == ChannelStep::moments);
  });
}

}  // namespace

void provide_channel_norm() { channel_cuda.provide(run); }

}  // namespace heed::kernels::cuda
