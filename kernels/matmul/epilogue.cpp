// The activation of a product's tile, and its gradient fused with the bias's column sums.
//
// Both are memory-bound: activate_tile reads a tile from the cache that its product just filled;
// activation_backward reads dy and z once and writes dz once.
#include "kernels/matmul/epilogue.h"

#include <algorithm>

#include "core/parallel.h"
#include "kernels/elementwise/unary.h"
#include "kernels/matmul/matmul.h"
#include "kernels/reduce/reduce.h"
#include "kernels/reduce/sum_rows.h"

namespace heed::kernels {

Unary unary_of(Activation activation) {
  switch (activation) {
    case Activation::relu:
      return Unary::relu;
    case Activation::gelu:
      return Unary::gelu;
    case Activation::gelu_tanh:
      return Unary::gelu_tanh;
    case Activation::silu:
      return Unary::silu;
    case Activation::none:
      break;
  }
  fail("activation: none has no function");
}

namespace {

// Column sums are kept per chunk of rows and added in chunk order.
constexpr int64_t kRowsPerChunk = 64;

template <class T>
void backward_chunk(RowFn slope, const T* dy, const T* z, T* dz, int64_t rows, int64_t n,
                    accumulate_t<T>* sums) {
  if (slope != nullptr) {
    slope({.n = rows * n, .in = {dy, z}, .out = {dz}});
  }
  if (sums != nullptr) sum_columns(slope ? dz : dy, rows, n, n, sums);
}

}  // namespace

void activate_tile(Activation activation, DType dtype, int64_t rows, int64_t cols, const void* from,
                   int64_t from_stride, void* to, int64_t to_stride) {
  const RowFn row = unary_row(unary_of(activation), dtype);
  const auto size = static_cast<int64_t>(size_of(dtype));
  for (int64_t r = 0; r < rows; ++r) {
    row({.n = cols,
         .in = {static_cast<const std::byte*>(from) + r * from_stride * size},
         .out = {static_cast<std::byte*>(to) + r * to_stride * size}});
  }
}

ActivationGradients activation_backward(Activation activation, const Tensor& dy, const Tensor& z,
                                        bool want_bias) {
  const bool active = activation != Activation::none;
  HEED_CHECK(dy.rank() == 2 && dy.is_contiguous(), "activation gradient: dy {} is no dense matrix",
             dy);
  HEED_CHECK(!active || (z.shape() == dy.shape() && z.dtype() == dy.dtype() && z.is_contiguous()),
             "activation gradient: dy {} beside z {}", dy, z);
  if (!active && !want_bias) return {dy, {}};
  if (!dy.device().is_cpu()) {
    const Unary op = active ? unary_of(activation) : Unary::relu;
    // relu's gradient is by its result, which is positive where z is
    const Tensor dz = active ? unary_backward(op, dy, saves_output(op) ? unary(op, z) : z) : dy;
    return {dz, want_bias ? column_sums(dz) : Tensor()};
  }
  const RowFn slope = active ? unary_backward_row(unary_of(activation), dy.dtype()) : nullptr;
  const Tensor dz = active ? Tensor::empty(dy.shape(), dy.dtype(), dy.device()) : dy;
  const int64_t rows = dy.size(0), n = dy.size(1);
  const int64_t chunks = (rows + kRowsPerChunk - 1) / kRowsPerChunk;
  ActivationGradients result{dz, {}};
  dispatch_floating(dy.dtype(), "activation gradient", [&](auto type) {
    using T = decltype(type);
    using A = accumulate_t<T>;
    const Tensor partial = want_bias ? Tensor::empty({chunks, n}, dtype_of<A>()) : Tensor();
    parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        const int64_t row = c * kRowsPerChunk, count = std::min(kRowsPerChunk, rows - row);
        backward_chunk<T>(slope, dy.data<T>() + row * n, active ? z.data<T>() + row * n : nullptr,
                          dz.data<T>() + row * n, count, n,
                          want_bias ? partial.data<A>() + c * n : nullptr);
      }
    });
    if (!want_bias) return;
    result.dbias = Tensor::zeros({n}, dtype_of<A>());
    if (chunks > 0) sum_columns(partial.data<A>(), chunks, n, n, result.dbias.template data<A>());
  });
  return result;
}

}  // namespace heed::kernels
