// The kernel of every elementwise function. A thread takes as many elements at a time as 16 bytes
// hold where these lie side by side, else one. There are more than 200 of these kernels: what they
// do besides their function is written once in each, in few instructions.
#pragma once

#include "kernels/cuda/functors.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/vector.h"
#include "kernels/elementwise/element_map.h"

namespace heed::kernels::cuda {

inline constexpr int kMapThreads = 256;

/// Fn::apply(const A (&x)[kIn], A (&y)[kOut]) for every place of the map, A = accumulate_t<T>.
template <class T, int kIn, int kOut, class Fn>
__global__ void map_elements(ElementMap map) {
  using A = accumulate_t<T>;
  constexpr int kWide = kLanes<T>;
  const bool wide = map.lanes == kWide;
  const int64_t threads = int64_t{gridDim.x} * blockDim.x;
#pragma unroll 1
  for (int64_t group = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; group < map.loop.numel;
       group += threads) {
    int64_t at[kIn + kOut];
    map.loop.offsets(group, at);
    A x[kIn][kWide], y[kOut][kWide];
#pragma unroll
    for (int k = 0; k < kIn; ++k) {
      const T* from = static_cast<const T*>(map.in[k]);
      if (wide && from != nullptr && map.loop.strides[k][map.loop.dims - 1] != 0) {
        load(from + at[k], x[k]);
        continue;
      }
      const A number =
          from == nullptr ? static_cast<A>(map.number[k]) : static_cast<A>(from[at[k]]);
#pragma unroll
      for (int i = 0; i < kWide; ++i) x[k][i] = number;
    }
#pragma unroll
    for (int i = 0; i < kWide; ++i) {
      if (i > 0 && !wide) break;
      A in[kIn], out[kOut];
#pragma unroll
      for (int k = 0; k < kIn; ++k) in[k] = x[k][i];
      Fn::apply(in, out);
#pragma unroll
      for (int k = 0; k < kOut; ++k) y[k][i] = out[k];
    }
#pragma unroll
    for (int k = 0; k < kOut; ++k) {
      T* to = static_cast<T*>(map.out[k]) + at[kIn + k];
      if (wide) {
        store(y[k], to);
      } else {
        *to = static_cast<T>(y[k][0]);
      }
    }
  }
}

/// What a DeviceMapFn of Fn is.
template <int kIn, int kOut, class Fn>
void map_with(const ElementMap& map) {
  dispatch_floating(map.dtype, [&](auto type) {
    launch(map_elements<decltype(type), kIn, kOut, Fn>,
           grid_for(ceil_div(map.loop.numel, kMapThreads)), kMapThreads, 0, current_stream(), map);
  });
}

// How functors of one element to three become an Fn.

template <class Op>
struct Forward1 {
  template <class A>
  __device__ static void apply(const A (&x)[1], A (&y)[1]) {
    y[0] = Op::forward(x[0]);
  }
};
template <class Op>
struct Forward2 {
  template <class A>
  __device__ static void apply(const A (&x)[2], A (&y)[1]) {
    y[0] = Op::forward(x[0], x[1]);
  }
};
template <class Op>
struct Forward3 {
  template <class A>
  __device__ static void apply(const A (&x)[3], A (&y)[1]) {
    y[0] = Op::forward(x[0], x[1], x[2]);
  }
};
template <class Op>
struct Backward2 {
  template <class A>
  __device__ static void apply(const A (&x)[2], A (&y)[1]) {
    y[0] = Op::backward(x[0], x[1]);
  }
};
template <class Op>
struct Backward4 {
  template <class A>
  __device__ static void apply(const A (&x)[4], A (&y)[1]) {
    y[0] = Op::backward(x[0], x[1], x[2], x[3]);
  }
};
template <class Op>
struct BothGradients {
  template <class A>
  __device__ static void apply(const A (&x)[3], A (&y)[2]) {
    Op::backward(x[0], x[1], x[2], y[0], y[1]);
  }
};

}  // namespace heed::kernels::cuda
