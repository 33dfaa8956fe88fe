// Step 3 of chunked_backward.cpp: a block a chunk and 64 of the keys' channels or of the values;
// then the gradients of the decays, a block a chunk.
#include "kernels/cuda/reduce.h"
#include "kernels/linear_attention/chunk.cuh"

namespace heed::kernels::cuda {
namespace linear_attention {
namespace {

template <class A>
struct BackwardMemory {
  Slices<A> slices;
  Pairs<A> pairs;
  TokenDecays<A> decays;
};

// Gradients of a chunk's rows, and the same in the accumulation type where the decays' gradients
// need them.
template <class T>
struct Gradient {
  using A = accumulate_t<T>;
  ChunkRows<T> rows;
  ChunkRows<A> wide;
  bool has_wide;

  __device__ Gradient(const DeviceLinear& p, const LinearRows& to, void* scratch, const Chunk& c)
      : rows(to, p.key_dim, c),
        wide(scratch, p.tokens, p.key_dim, c),
        has_wide(scratch != nullptr) {}
  __device__ void put(int64_t t, int64_t d, A value) const {
    rows.put(t, d, value);
    if (has_wide) wide.put(t, d, value);
  }
};

// dq = G (dO S^T) + dP K, dk = L (V dS^T) + dP^T Q
template <class T>
__global__ void key_gradients(DeviceLinearBackward g) {
  using A = accumulate_t<T>;
  const DeviceLinear& p = g.linear;
  auto& memory = *dynamic_shared<BackwardMemory<A>>();
  const Chunk c(p, blockIdx.x);
  const int64_t d0 = int64_t{blockIdx.y} * kTile;
  const ChunkRows<T> q(p.q, p.key_dim, c), k(p.k, p.key_dim, c), v(p.v, p.value_dim, c);
  const ChunkRows<T> dy(g.dout, p.value_dim, c);
  const State<A> state(p.states, p, c.sequence, c.index);
  const State<A> dstate(g.dstates, p, c.sequence, c.index + 1);
  const Gradient<T> dq(p, g.dq, g.wide_dq, c), dk(p, g.dk, g.wide_dk, c);
  const bool gated = p.gate == Gate::token;
  if (gated) memory.decays.fill(p, c);
  __syncthreads();
  fill_pairs(dy, v, gated ? &memory.decays : nullptr, memory.slices, memory.pairs);
  Held<A> held;
  memory.slices.multiply(p.value_dim, AlongDepth{[&](int i, int64_t e) { return dy.at(i, e); }},
                         AlongDepth{[&](int j, int64_t e) { return state.at(d0 + j, e); }}, held);
  if (gated) held.each([&](int i, int, A& value) { value *= memory.decays.from_start[i]; });
  memory.slices.multiply(c.rows, AlongDepth{[&](int i, int64_t t) { return memory.pairs[i][t]; }},
                         AcrossDepth{[&](int j, int64_t t) { return k.at(t, d0 + j); }}, held);
  held.each([&](int i, int j, A value) { dq.put(i, d0 + j, value); });
  held = {};
  memory.slices.multiply(p.value_dim, AlongDepth{[&](int i, int64_t e) { return v.at(i, e); }},
                         AlongDepth{[&](int j, int64_t e) { return dstate.at(d0 + j, e); }}, held);
  if (gated) held.each([&](int i, int, A& value) { value *= memory.decays.to_end[i]; });
  memory.slices.multiply(c.rows, AcrossDepth{[&](int i, int64_t t) { return memory.pairs[t][i]; }},
                         AcrossDepth{[&](int j, int64_t t) { return q.at(t, d0 + j); }}, held);
  held.each([&](int i, int j, A value) { dk.put(i, d0 + j, value); });
}

// dv = L (K dS) + P^T dO
template <class T>
__global__ void value_gradients(DeviceLinearBackward g) {
  using A = accumulate_t<T>;
  const DeviceLinear& p = g.linear;
  auto& memory = *dynamic_shared<BackwardMemory<A>>();
  const Chunk c(p, blockIdx.x);
  const int64_t e0 = int64_t{blockIdx.y} * kTile;
  const ChunkRows<T> q(p.q, p.key_dim, c), k(p.k, p.key_dim, c), dy(g.dout, p.value_dim, c);
  const ChunkRows<T> dv(g.dv, p.value_dim, c);
  const State<A> dstate(g.dstates, p, c.sequence, c.index + 1);
  const bool gated = p.gate == Gate::token;
  if (gated) memory.decays.fill(p, c);
  __syncthreads();
  fill_pairs(q, k, gated ? &memory.decays : nullptr, memory.slices, memory.pairs);
  Held<A> held;
  memory.slices.multiply(p.key_dim, AlongDepth{[&](int i, int64_t d) { return k.at(i, d); }},
                         AcrossDepth{[&](int j, int64_t d) { return dstate.at(d, e0 + j); }}, held);
  if (gated) held.each([&](int i, int, A& value) { value *= memory.decays.to_end[i]; });
  memory.slices.multiply(c.rows, AcrossDepth{[&](int i, int64_t t) { return memory.pairs[t][i]; }},
                         AcrossDepth{[&](int j, int64_t t) { return dy.at(t, e0 + j); }}, held);
  held.each([&](int i, int j, A value) { dv.put(i, e0 + j, value); });
}

// A gate by channel: a thread a channel d with its row of the state, element e at e kTile. Forwards
// S = a S + k v^T and dq = S dO, backwards dS += q dO^T, dk = dS v and dS = a dS.
template <class T>
__global__ void recurrent_key_gradients(DeviceLinearBackward g) {
  using A = accumulate_t<T>;
  const DeviceLinear& p = g.linear;
  A* row = dynamic_shared<A>() + threadIdx.x;
  const Chunk c(p, blockIdx.x);
  const int64_t d = int64_t{blockIdx.y} * kTile + threadIdx.x;
  if (d >= p.key_dim) return;
  const ChunkRows<T> q(p.q, p.key_dim, c), k(p.k, p.key_dim, c), v(p.v, p.value_dim, c);
  const ChunkRows<T> dy(g.dout, p.value_dim, c);
  const Gradient<T> dq(p, g.dq, g.wide_dq, c), dk(p, g.dk, g.wide_dk, c);
  const State<A> state(p.states, p, c.sequence, c.index);
  const State<A> dstate(g.dstates, p, c.sequence, c.index + 1);
  const A* decay =
      static_cast<const A*>(p.decay) + (c.sequence * p.tokens + c.first) * p.key_dim + d;
  for (int64_t e = 0; e < p.value_dim; ++e) row[e * kTile] = state.at(d, e);
  for (int t = 0; t < c.rows; ++t) {
    const A key = k.at(t, d), a = decay[t * p.key_dim];
    A sum = 0;
    for (int64_t e = 0; e < p.value_dim; ++e) {
      A& s = row[e * kTile];
      s = a * s + key * v.at(t, e);
      sum += dy.at(t, e) * s;
    }
    dq.put(t, d, sum);
  }
  for (int64_t e = 0; e < p.value_dim; ++e) row[e * kTile] = dstate.at(d, e);
  for (int t = c.rows - 1; t >= 0; --t) {
    const A query = q.at(t, d), a = decay[t * p.key_dim];
    A sum = 0;
    for (int64_t e = 0; e < p.value_dim; ++e) {
      A& s = row[e * kTile];
      s += dy.at(t, e) * query;
      sum += v.at(t, e) * s;
      s *= a;
    }
    dk.put(t, d, sum);
  }
}

// The same for dv = dS^T k: a thread a value with its column.
template <class T>
__global__ void recurrent_value_gradients(DeviceLinearBackward g) {
  using A = accumulate_t<T>;
  const DeviceLinear& p = g.linear;
  A* column = dynamic_shared<A>() + threadIdx.x;
  const Chunk c(p, blockIdx.x);
  const int64_t e = int64_t{blockIdx.y} * kTile + threadIdx.x;
  const ChunkRows<T> q(p.q, p.key_dim, c), k(p.k, p.key_dim, c), dy(g.dout, p.value_dim, c);
  const ChunkRows<T> dv(g.dv, p.value_dim, c);
  const State<A> dstate(g.dstates, p, c.sequence, c.index + 1);
  const A* decay = static_cast<const A*>(p.decay) + (c.sequence * p.tokens + c.first) * p.key_dim;
  for (int64_t d = 0; d < p.key_dim; ++d) column[d * kTile] = dstate.at(d, e);
  for (int t = c.rows - 1; t >= 0; --t) {
    const A gradient = dy.at(t, e);
    A sum = 0;
    for (int64_t d = 0; d < p.key_dim; ++d) {
      A& s = column[d * kTile];
      s += q.at(t, d) * gradient;
      sum += s * k.at(t, d);
      s *= decay[t * p.key_dim + d];
    }
    dv.put(t, e, sum);
  }
}

// q dq - k dk summed from the end of the chunk, and <S, dS> at its end. By token the sums are over
// the channels too, in f64.
template <class T>
__global__ void decay_gradients(DeviceLinearBackward g) {
  using A = accumulate_t<T>;
  const DeviceLinear& p = g.linear;
  const Chunk c(p, blockIdx.x);
  const ChunkRows<T> q(p.q, p.key_dim, c), k(p.k, p.key_dim, c);
  const ChunkRows<A> dq(g.wide_dq, p.tokens, p.key_dim, c), dk(g.wide_dk, p.tokens, p.key_dim, c);
  const State<A> state(p.states, p, c.sequence, c.index + 1);
  const State<A> dstate(g.dstates, p, c.sequence, c.index + 1);
  const bool token = p.gate == Gate::token;
  A* to =
      static_cast<A*>(g.dlog_decay) + (c.sequence * p.tokens + c.first) * (token ? 1 : p.key_dim);
  A* behind = dynamic_shared<A>();  // [D], then [kChunk] by token
  A* sums = behind + p.key_dim;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, warps = kThreads / kWarp;
  for (int64_t d = warp; d < p.key_dim; d += warps) {
    A mine = 0;
    for (int64_t e = lane; e < p.value_dim; e += kWarp) mine += state(d, e) * dstate(d, e);
    const A sum = warp_all(mine, Plus());
    if (lane == 0) behind[d] = sum;
  }
  for (int t = warp; t < c.rows && token; t += warps) {
    A mine = 0;
    for (int64_t d = lane; d < p.key_dim; d += kWarp) {
      mine += q.at(t, d) * dq.at(t, d) - k.at(t, d) * dk.at(t, d);
    }
    const A sum = warp_all(mine, Plus());
    if (lane == 0) sums[t] = sum;
  }
  __syncthreads();
  if (token) {
    if (threadIdx.x != 0) return;
    double sum = 0;
    for (int64_t d = 0; d < p.key_dim; ++d) sum += static_cast<double>(behind[d]);
    for (int t = c.rows - 1; t >= 0; --t) {
      sum += static_cast<double>(sums[t]);
      to[t] = static_cast<A>(sum);
    }
    return;
  }
  for (int64_t d = threadIdx.x; d < p.key_dim; d += kThreads) {
    A sum = behind[d];
    for (int t = c.rows - 1; t >= 0; --t) {
      sum += q.at(t, d) * dq.at(t, d) - k.at(t, d) * dk.at(t, d);
      to[t * p.key_dim + d] = sum;
    }
  }
}

template <class T>
void run_rows(const DeviceLinearBackward& g) {
  using A = accumulate_t<T>;
  const DeviceLinear& p = g.linear;
  const dim3 keys = chunk_tiles(p, p.key_dim), values = chunk_tiles(p, p.value_dim);
  if (p.gate == Gate::channel) {
    const auto bytes = [](int64_t width) { return static_cast<size_t>(width) * kTile * sizeof(A); };
    launch(recurrent_key_gradients<T>, keys, kTile, bytes(p.value_dim), current_stream(), g);
    launch(recurrent_value_gradients<T>, values, kTile, bytes(p.key_dim), current_stream(), g);
  } else {
    constexpr size_t kBytes = sizeof(BackwardMemory<A>);
    launch(key_gradients<T>, keys, kThreads, kBytes, current_stream(), g);
    launch(value_gradients<T>, values, kThreads, kBytes, current_stream(), g);
  }
  if (p.gate == Gate::none) return;
  launch(decay_gradients<T>, keys.x, kThreads, static_cast<size_t>(p.key_dim + kChunk) * sizeof(A),
         current_stream(), g);
}

void run(const DeviceLinearBackward& g) {
  run_states(g.linear, g.linear.q, g.dout, true, g.dstates);
  dispatch_floating(g.linear.dtype, [&](auto type) { run_rows<decltype(type)>(g); });
}

}  // namespace
}  // namespace linear_attention

void provide_linear_backward() { linear_backward_cuda.provide(linear_attention::run); }

}  // namespace heed::kernels::cuda
