// A block a chunk of a tensor, all tensors of a list in one launch: bound by memory.
#include "kernels/cuda/functors.h"
#include "kernels/cuda/rows.h"
#include "kernels/optim/adam_rows.h"
#include "kernels/optim/list_pieces.h"
#include "kernels/optim/sgd_rows.h"

namespace heed::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;

// Calls fn(pointer) with the type named.
template <class Fn>
__device__ void with_type(DType dtype, const void* x, Fn fn) {
  if (dtype == DType::f32) {
    fn(static_cast<const float*>(x));
  } else if (dtype == DType::bf16) {
    fn(static_cast<const bfloat16*>(x));
  } else {
    fn(static_cast<const double*>(x));
  }
}

template <class T>
__device__ bool chunk_is_wide(const T* x, int64_t n) {
  return n % kLanes<T> == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0;
}

template <class T>
__device__ void adam_chunk(const AdamRows& a, const Chunk& c) {
  using A = accumulate_t<T>;
  T* parameter = static_cast<T*>(a.parameter) + c.begin;
  const T* gradient = static_cast<const T*>(a.gradient) + c.begin;
  A* exp_avg = static_cast<A*>(a.exp_avg) + c.begin;
  A* exp_avg_sq = static_cast<A*>(a.exp_avg_sq) + c.begin;
  const A grad_scale = static_cast<A>(a.grad_scale), add_decay = static_cast<A>(a.add_decay);
  const A keep = static_cast<A>(a.keep), beta2 = static_cast<A>(a.beta2);
  const A rest1 = static_cast<A>(1.0 - a.beta1), rest2 = static_cast<A>(1.0 - a.beta2);
  const A step_size = static_cast<A>(a.step_size), correction = static_cast<A>(a.correction);
  const A eps = static_cast<A>(a.eps);
  const int64_t n = c.end - c.begin;
  // chunks begin at multiples of their size, so one tensor's pieces lie alike
  const bool wide = chunk_is_wide(parameter, n) && chunk_is_wide(gradient, n);
  for_row<T>(n, wide, [&](int64_t i, auto count) {
    constexpr int kCount = decltype(count)::value;
    A p[kCount], g[kCount], m[kCount], v[kCount];
    load(parameter + i, p);
    load(gradient + i, g);
    for (int k = 0; k < kCount; ++k) {
      m[k] = exp_avg[i + k];
      v[k] = exp_avg_sq[i + k];
      g[k] = g[k] * grad_scale + add_decay * p[k];
      m[k] += rest1 * (g[k] - m[k]);
      v[k] = beta2 * v[k] + rest2 * (g[k] * g[k]);
      const A denominator = on_device::sqrt(v[k]) * correction + eps;
      p[k] = p[k] * keep - step_size * (m[k] / denominator);
      exp_avg[i + k] = m[k];
      exp_avg_sq[i + k] = v[k];
    }
    store(p, parameter + i);
  });
}

__global__ void adam(const AdamRows* rows, const Chunk* chunks) {
  const Chunk c = chunks[blockIdx.x];
  const AdamRows& a = rows[c.tensor];
  with_type(a.dtype, a.parameter,
            [&](auto* x) { adam_chunk<std::remove_cvref_t<decltype(*x)>>(a, c); });
}

template <class T>
__device__ void sgd_chunk(const SgdRows& a, const Chunk& c) {
  using A = accumulate_t<T>;
  T* parameter = static_cast<T*>(a.parameter) + c.begin;
  const T* gradient = static_cast<const T*>(a.gradient) + c.begin;
  A* buffer = a.buffer == nullptr ? nullptr : static_cast<A*>(a.buffer) + c.begin;
  const A grad_scale = static_cast<A>(a.grad_scale), decay = static_cast<A>(a.weight_decay);
  const A lr = static_cast<A>(a.lr), momentum = static_cast<A>(a.momentum);
  const int64_t n = c.end - c.begin;
  const bool wide = chunk_is_wide(parameter, n) && chunk_is_wide(gradient, n);
  for_row<T>(n, wide, [&](int64_t i, auto count) {
    constexpr int kCount = decltype(count)::value;
    A p[kCount], g[kCount];
    load(parameter + i, p);
    load(gradient + i, g);
    for (int k = 0; k < kCount; ++k) {
      g[k] = g[k] * grad_scale + decay * p[k];
      if (buffer != nullptr) {
        const A b = momentum * buffer[i + k] + g[k];
        buffer[i + k] = b;
        g[k] = a.nesterov ? momentum * b + g[k] : b;
      }
      p[k] -= lr * g[k];
    }
    store(p, parameter + i);
  });
}

__global__ void sgd(const SgdRows* rows, const Chunk* chunks) {
  const Chunk c = chunks[blockIdx.x];
  const SgdRows& a = rows[c.tensor];
  with_type(a.dtype, a.parameter,
            [&](auto* x) { sgd_chunk<std::remove_cvref_t<decltype(*x)>>(a, c); });
}

template <class T>
__device__ void list_chunk(const ListPieces& list, const ListTensor& tensor, const Chunk& c) {
  using A = accumulate_t<T>;
  T* x = static_cast<T*>(tensor.x) + c.begin;
  const int64_t n = c.end - c.begin;
  const bool wide = chunk_is_wide(x, n);
  const A number = static_cast<A>(list.number);
  if (list.op == ListOp::squares || list.op == ListOp::not_finite) {
    const bool squares = list.op == ListOp::squares;
    A mine = 0;
    for_row<T>(n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value];
      load(x + i, v);
      // v - v is 0, or NaN for infinities and NaN
      for (const A value : v) mine += squares ? value * value : value - value;
    });
    const A total = block_sum(mine);
    if (threadIdx.x == 0) {
      list.result[blockIdx.x] = squares ? static_cast<double>(total) : total == A(0) ? 0.0 : 1.0;
    }
    return;
  }
  if (list.op == ListOp::average) {
    A* other = static_cast<A*>(tensor.other) + c.begin;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      other[i] += number * (static_cast<A>(x[i]) - other[i]);
    }
    return;
  }
  const bool scales = list.op == ListOp::scale;
  for_row<T>(n, wide, [&](int64_t i, auto count) {
    A v[decltype(count)::value];
    load(x + i, v);
    for (A& value : v) {
      if (scales) {
        value *= number;
      } else if (value > number) {
        value = number;
      } else if (value < -number) {
        value = -number;
      }
    }
    store(v, x + i);
  });
}

__global__ void list_pieces(ListPieces list) {
  const Chunk c = list.chunks[blockIdx.x];
  const ListTensor& tensor = list.tensors[c.tensor];
  with_type(tensor.dtype, tensor.x,
            [&](auto* x) { list_chunk<std::remove_cvref_t<decltype(*x)>>(list, tensor, c); });
}

void run_adam(const AdamRows* rows, const Chunk* chunks, int64_t count) {
  launch(adam, static_cast<unsigned>(count), kThreads, 0, current_stream(), rows, chunks);
}

void run_sgd(const SgdRows* rows, const Chunk* chunks, int64_t count) {
  launch(sgd, static_cast<unsigned>(count), kThreads, 0, current_stream(), rows, chunks);
}

void run_list(const ListPieces& list) {
  launch(list_pieces, static_cast<unsigned>(list.count), kThreads, 0, current_stream(), list);
}

}  // namespace

void provide_optim() {
  adam_cuda.provide(run_adam);
  sgd_cuda.provide(run_sgd);
  list_cuda.provide(run_list);
}

}  // namespace heed::kernels::cuda
