// Steps 1 and 2 of chunked_forward.cpp and chunked_backward.cpp: sums of all chunks at once, then a
// scan over the chunks, a thread an element of a state.
#include "kernels/linear_attention/chunk.cuh"

namespace heed::kernels::cuda::linear_attention {
namespace {

// Rows of a chunk times the decays of its tokens up to and with each (from_start) or behind it, and
// the product of all; a thread a channel.
template <class T>
__global__ void scale_rows(DeviceLinear p, LinearRows from, bool from_start, int64_t n) {
  using A = accumulate_t<T>;
  for_each(n, [&](int64_t at) {
    const int64_t task = at / p.key_dim, d = at % p.key_dim;
    const Chunk c(p, task);
    const ChunkRows<T> x(from, p.key_dim, c);
    const ChunkRows<A> to(p.scaled, p.tokens, p.key_dim, c);
    const int64_t token = c.sequence * p.tokens + c.first;
    A product = 1;
    for (int i = 0; i < c.rows; ++i) {
      const int t = from_start ? i : c.rows - 1 - i;
      A decay;
      if (p.gate == Gate::token) {
        decay = on_device::exp(static_cast<const A*>(p.log_decay)[token + t]);
      } else {
        decay = static_cast<const A*>(p.decay)[(token + t) * p.key_dim + d];
      }
      const A with = product * decay;
      to.put(t, d, x.at(t, d) * (from_start ? with : product));
      product = with;
    }
    static_cast<A*>(p.totals)[at] = product;
  });
}

// Into the border behind each chunk, or before it.
template <class T, class A>
__device__ void sum_tile(const DeviceLinear& p, const Chunk& c, const ChunkRows<T>& a,
                         const ChunkRows<A>* scaled, const ChunkRows<T>& b, State<A> to) {
  const int64_t d0 = int64_t{blockIdx.y} * kTile, e0 = int64_t{blockIdx.z} * kTile;
  Slices<A>& slices = shared<Slices<A>>();
  Held<A> held;
  slices.multiply(c.rows, AcrossDepth{[&](int i, int64_t t) {
                    return scaled != nullptr ? scaled->at(t, d0 + i) : a.at(t, d0 + i);
                  }},
                  AcrossDepth{[&](int j, int64_t t) { return b.at(t, e0 + j); }}, held);
  held.each([&](int i, int j, A value) {
    if (d0 + i < p.key_dim && e0 + j < p.value_dim) to(d0 + i, e0 + j) = value;
  });
}

template <class T>
__global__ void sums(DeviceLinear p, LinearRows a, LinearRows b, bool backwards,
                     LinearStates states) {
  using A = accumulate_t<T>;
  const Chunk c(p, blockIdx.x);
  const State<A> to(states, p, c.sequence, c.index + (backwards ? 0 : 1));
  const ChunkRows<T> x(a, p.key_dim, c), y(b, p.value_dim, c);
  if (p.gate == Gate::none) return sum_tile<T, A>(p, c, x, nullptr, y, to);
  const ChunkRows<A> scaled(p.scaled, p.tokens, p.key_dim, c);
  sum_tile(p, c, x, &scaled, y, to);
}

template <class A>
__global__ void scan(DeviceLinear p, LinearStates states, bool backwards, int64_t n) {
  for_each(n, [&](int64_t at) {
    const int64_t e = at % p.value_dim, rest = at / p.value_dim;
    const int64_t d = rest % p.key_dim, sequence = rest / p.key_dim;
    const int64_t chunks = p.chunks();
    A state = State<A>(states, p, sequence, backwards ? chunks : 0)(d, e);
    for (int64_t i = 0; i < chunks; ++i) {
      const int64_t c = backwards ? chunks - 1 - i : i;
      const A decay =
          p.gate == Gate::none
              ? A(1)
              : static_cast<const A*>(p.totals)[(sequence * chunks + c) * p.key_dim + d];
      A& to = State<A>(states, p, sequence, backwards ? c : c + 1)(d, e);
      to = state = decay * state + to;
    }
  });
}

}  // namespace

void run_states(const DeviceLinear& p, const LinearRows& a, const LinearRows& b, bool backwards,
                const LinearStates& states) {
  dispatch_floating(p.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t tasks = p.sequences() * p.chunks();
    if (p.gate != Gate::none) launch_each(scale_rows<T>, tasks * p.key_dim, p, a, backwards);
    const dim3 grid(static_cast<unsigned>(tasks), tiles(p.key_dim), tiles(p.value_dim));
    launch(sums<T>, grid, kThreads, 0, current_stream(), p, a, b, backwards, states);
    launch_each(scan<accumulate_t<T>>, p.sequences() * p.key_dim * p.value_dim, p, states,
                backwards);
  });
}

}  // namespace heed::kernels::cuda::linear_attention
