// Three products a chunk of M rows (2 V C M FLOPs each): logits, dx = dlogits W, dW += dlogits^T x.
// Each reads or updates all of W once a chunk, so a chunk needs some hundred rows to be bound by
// arithmetic rather than by memory.
#include "kernels/loss/linear_cross_entropy.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/matmul/matmul.h"
#include "kernels/reduce/reduce.h"

namespace heed::kernels {
namespace {

constexpr int64_t kBufferBytes = 8 << 20;
constexpr int64_t kMinRows = 128;

// sum[v] += sum over rows of gradient[row][v], rows in order.
template <class T, class A>
void add_column_sums(const T* gradient, int64_t rows, int64_t classes, A* sum) {
  parallel_for(classes, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < rows; ++row) {
      const T* g = gradient + row * classes;
      for (int64_t v = begin; v < end; ++v) sum[v] += static_cast<A>(g[v]);
    }
  });
}

void add_column_sums(const Tensor& gradient, const Tensor& sum) {
  if (!gradient.device().is_cpu()) return add_into(sum, column_sums(gradient), sum);
  const int64_t rows = gradient.size(0), classes = gradient.size(1);
  dispatch_floating(gradient.dtype(), "linear_cross_entropy", [&](auto type) {
    using T = decltype(type);
    add_column_sums(gradient.data<T>(), rows, classes, sum.data<accumulate_t<T>>());
  });
}

}  // namespace

int64_t linear_cross_entropy_chunk(int64_t classes) {
  const int64_t rows = kBufferBytes / (classes * static_cast<int64_t>(sizeof(float)));
  return std::max(kMinRows, rows / kMinRows * kMinRows);
}

LinearCrossEntropyResult linear_cross_entropy(const Tensor& x, const Tensor& weight,
                                              const Tensor& bias, const Targets& targets,
                                              double smoothing,
                                              const LinearCrossEntropyWanted& wanted,
                                              const SharedClasses* shared) {
  const char* op = "linear_cross_entropy";
  HEED_CHECK(x.rank() == 2 && weight.rank() == 2 && x.size(1) == weight.size(1),
             "{}: x is {}, weight is {}, need [R, C] and [V, C]", op, x, weight);
  const int64_t rows = x.size(0), width = x.size(1), classes = weight.size(0);
  HEED_CHECK(static_cast<int64_t>(targets.ids.size()) == rows, "{}: {} targets for x of {}", op,
             targets.ids.size(), x);
  HEED_CHECK(!bias.defined() || (bias.rank() == 1 && bias.size(0) == classes),
             "{}: bias is {}, needs [{}]", op, bias, classes);
  const DType dtype = x.dtype(), sums = dtype == DType::f64 ? DType::f64 : DType::f32;
  const Tensor dense = contiguous_as(x, dtype), w = contiguous_as(weight, dtype);
  const Tensor w_transposed = views::transpose(w, 0, 1);

  LinearCrossEntropyResult result;
  result.losses = Tensor::empty({rows}, sums, x.device());
  if (wanted.dx) result.dx = Tensor::empty({rows, width}, dtype, x.device());
  if (wanted.dweight) result.dweight = Tensor::zeros({classes, width}, sums, x.device());
  if (wanted.dbias) result.dbias = Tensor::zeros({classes}, sums, x.device());

  // The same on all ranks, whose classes may differ by one.
  const int64_t most = shared ? (shared->classes + shared->parts - 1) / shared->parts : classes;
  const int64_t chunk = std::min(rows, linear_cross_entropy_chunk(most));
  const Tensor logits_buffer = Tensor::empty({chunk, classes}, sums, x.device());
  // bf16 products take a bf16 gradient, which cannot lie in the f32 logits.
  Tensor gradient_buffer = logits_buffer;
  if (dtype != sums && wanted.any())
    gradient_buffer = Tensor::empty({chunk, classes}, dtype, x.device());
  const Tensor lse = wanted.any() || shared ? Tensor() : Tensor::empty({chunk}, sums, x.device());
  const double scale = targets.counted ? 1.0 / static_cast<double>(targets.counted) : 0.0;

  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t last = std::min(rows, first + chunk);
    const Tensor part = views::slice(dense, 0, first, last);
    const Tensor logits = views::slice(logits_buffer, 0, 0, last - first);
    gemm(part, w_transposed, logits, {.bias = bias});
    if (!wanted.any() && shared) {
      shared_cross_entropy_in_place(logits, targets, first, smoothing, scale, *shared,
                                    result.losses, {});
      continue;
    }
    if (!wanted.any()) {
      const Targets some{{targets.ids.begin() + first, targets.ids.begin() + last}};
      cross_entropy(logits, some, smoothing, views::slice(result.losses, 0, first, last),
                    views::slice(lse, 0, 0, last - first));
      continue;
    }
    const Tensor gradient = views::slice(gradient_buffer, 0, 0, last - first);
    if (shared) {
      shared_cross_entropy_in_place(logits, targets, first, smoothing, scale, *shared,
                                    result.losses, gradient);
    } else {
      cross_entropy_in_place(logits, targets, first, smoothing, scale, result.losses, gradient);
    }
    if (wanted.dx) gemm(gradient, w, views::slice(result.dx, 0, first, last));
    if (wanted.dweight) {
      gemm(views::transpose(gradient, 0, 1), part, result.dweight, {.accumulate = true});
    }
    if (wanted.dbias) add_column_sums(gradient, result.dbias);
  }
  if (wanted.dweight) result.dweight = contiguous_as(result.dweight, weight.dtype());
  if (wanted.dbias) result.dbias = contiguous_as(result.dbias, bias.dtype());
  return result;
}

}  // namespace heed::kernels
