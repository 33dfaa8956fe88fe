// A block a piece of 8192 elements: each is read once, and what is asked for is written.
#include "kernels/cuda/rows.h"
#include "kernels/loss/pointwise-inl.h"
#include "kernels/loss/pointwise_elements.h"

namespace heed::kernels::cuda {
namespace {

using on_device::PointwiseElement;

template <class T, class A>
__device__ PointwiseElement<A> element(const PointwiseElements& a, int64_t i) {
  return {static_cast<A>(static_cast<const T*>(a.x)[i]),
          static_cast<A>(static_cast<const T*>(a.target)[i]),
          a.positive == nullptr ? A(1) : static_cast<const A*>(a.positive)[i]};
}

template <class A>
__device__ A factor_at(const void* factors, int64_t i) {
  return factors == nullptr ? A(1) : static_cast<const A*>(factors)[i];
}

template <class F, class T>
__global__ void losses(PointwiseElements a, int64_t n) {
  using A = accumulate_t<T>;
  const A c = static_cast<A>(a.parameter), factor = static_cast<A>(a.factor);
  for (int64_t first = blockIdx.x * kPointwisePiece; first < n;
       first += gridDim.x * kPointwisePiece) {
    const int64_t last = first + kPointwisePiece < n ? first + kPointwisePiece : n;
    A mine = 0;
    for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {
      const A loss = factor * F::loss(element<T, A>(a, i), c) * factor_at<A>(a.weight, i);
      if (a.losses != nullptr) static_cast<A*>(a.losses)[i] = loss;
      mine += loss;
    }
    if (a.sums == nullptr) continue;
    const A sum = block_sum(mine);
    if (threadIdx.x == 0) a.sums[first / kPointwisePiece] = static_cast<double>(sum);
  }
}

template <class F, class T>
__global__ void slopes(PointwiseElements a, int64_t n) {
  using A = accumulate_t<T>;
  const A c = static_cast<A>(a.parameter), factor = static_cast<A>(a.factor);
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const auto s = F::slopes(element<T, A>(a, i), c);
    const A scale = factor * factor_at<A>(a.weight, i) * factor_at<A>(a.dy, i);
    if (a.dx != nullptr) static_cast<T*>(a.dx)[i] = static_cast<T>(scale * s.dx);
    if (a.dtarget != nullptr) static_cast<T*>(a.dtarget)[i] = static_cast<T>(scale * s.dt);
  }
}

void run(const PointwiseElements& a, int64_t n) {
  constexpr unsigned kThreads = 256;
  on_device::with_pointwise(a.kind, [&](auto functor) {
    using F = decltype(functor);
    dispatch_floating(a.dtype, [&](auto type) {
      using T = decltype(type);
      const bool backward = a.dx != nullptr || a.dtarget != nullptr;
      const int64_t blocks = ceil_div(n, backward ? kThreads : kPointwisePiece);
      launch(backward ? slopes<F, T> : losses<F, T>, grid_for(blocks), kThreads, 0,
             current_stream(), a, n);
    });
  });
}

}  // namespace

void provide_pointwise() { pointwise_cuda.provide(run); }

}  // namespace heed::kernels::cuda
