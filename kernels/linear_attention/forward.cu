// Step 3 of chunked_forward.cpp: a block a chunk and 64 of the values. For no gate and a gate by
// token two products of tiles; for a gate by channel the recurrence, a thread a value with its
// column of the state in shared memory.
#include "kernels/linear_attention/chunk.cuh"

namespace heed::kernels::cuda {
namespace linear_attention {
namespace {

template <class A>
struct ForwardMemory {
  Slices<A> slices;
  Pairs<A> pairs;
  TokenDecays<A> decays;
};

template <class T>
__global__ void pair_results(DeviceLinear p, LinearRows out) {
  using A = accumulate_t<T>;
  auto& memory = *dynamic_shared<ForwardMemory<A>>();
  const Chunk c(p, blockIdx.x);
  const int64_t e0 = int64_t{blockIdx.y} * kTile;
  const ChunkRows<T> q(p.q, p.key_dim, c), k(p.k, p.key_dim, c), v(p.v, p.value_dim, c);
  const State<A> state(p.states, p, c.sequence, c.index);
  const bool gated = p.gate == Gate::token;
  if (gated) memory.decays.fill(p, c);
  __syncthreads();
  fill_pairs(q, k, gated ? &memory.decays : nullptr, memory.slices, memory.pairs);
  Held<A> held;
  memory.slices.multiply(p.key_dim, AlongDepth{[&](int i, int64_t d) { return q.at(i, d); }},
                         AcrossDepth{[&](int j, int64_t d) { return state.at(d, e0 + j); }}, held);
  if (gated) held.each([&](int i, int, A& value) { value *= memory.decays.from_start[i]; });
  memory.slices.multiply(c.rows, AlongDepth{[&](int i, int64_t t) { return memory.pairs[i][t]; }},
                         AcrossDepth{[&](int j, int64_t t) { return v.at(t, e0 + j); }}, held);
  const ChunkRows<T> to(out, p.value_dim, c);
  held.each([&](int i, int j, A value) { to.put(i, e0 + j, value); });
}

template <class T>
__global__ void recurrent_results(DeviceLinear p, LinearRows out) {
  using A = accumulate_t<T>;
  A* column = dynamic_shared<A>() + threadIdx.x;  // element d at d kTile
  const Chunk c(p, blockIdx.x);
  const int64_t e = int64_t{blockIdx.y} * kTile + threadIdx.x;
  const ChunkRows<T> q(p.q, p.key_dim, c), k(p.k, p.key_dim, c), v(p.v, p.value_dim, c);
  const ChunkRows<T> to(out, p.value_dim, c);
  const State<A> state(p.states, p, c.sequence, c.index);
  const A* decay = static_cast<const A*>(p.decay) + (c.sequence * p.tokens + c.first) * p.key_dim;
  for (int64_t d = 0; d < p.key_dim; ++d) column[d * kTile] = state.at(d, e);
  for (int t = 0; t < c.rows; ++t, decay += p.key_dim) {
    const A value = v.at(t, e);
    A sum = 0;
    for (int64_t d = 0; d < p.key_dim; ++d) {
      A& s = column[d * kTile];
      s = decay[d] * s + k.at(t, d) * value;
      sum += q.at(t, d) * s;
    }
    to.put(t, e, sum);
  }
}

void run(const DeviceLinearForward& f) {
  const DeviceLinear& p = f.linear;
  run_states(p, p.k, p.v, false, p.states);
  dispatch_floating(p.dtype, [&](auto type) {
    using T = decltype(type);
    using A = accumulate_t<T>;
    const dim3 grid = chunk_tiles(p, p.value_dim);
    if (p.gate == Gate::channel) {
      const size_t bytes = static_cast<size_t>(p.key_dim) * kTile * sizeof(A);
      return launch(recurrent_results<T>, grid, kTile, bytes, current_stream(), p, f.out);
    }
    launch(pair_results<T>, grid, kThreads, sizeof(ForwardMemory<A>), current_stream(), p, f.out);
  });
}

}  // namespace
}  // namespace linear_attention

void provide_linear_forward() { linear_forward_cuda.provide(linear_attention::run); }

}  // namespace heed::kernels::cuda
