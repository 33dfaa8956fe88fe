#include "kernels/matmul/matmul.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/op_call.h"
#include "core/parallel.h"
#include "core/views.h"
#include "core/work.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/unary.h"
#include "kernels/matmul/device_product.h"
#include "kernels/matmul/epilogue.h"
#include "kernels/matmul/onednn.h"
#include "kernels/matmul/packed.h"
#include "kernels/matmul/product_f64.h"
#include "kernels/strided.h"

namespace heed::kernels {

DeviceKernel<bool(const DeviceProduct&)> product_cuda;

namespace {

// How an operand's last two dimensions lie in memory, when they can be read in place.
std::optional<MatrixLayout> layout_of(const Tensor& x) {
  const int64_t rows = x.size(-2), cols = x.size(-1);
  const int64_t row = x.stride(-2), col = x.stride(-1);
  if ((col == 1 || cols == 1) && (rows == 1 || row >= cols))
    return MatrixLayout{rows == 1 ? cols : row, false};
  if ((row == 1 || rows == 1) && (cols == 1 || col >= rows))
    return MatrixLayout{cols == 1 ? rows : col, true};
  return std::nullopt;
}

// A view that products can read, copied only if its strides leave no other way.
Tensor readable(const Tensor& x) { return layout_of(x) ? x : contiguous_as(x, x.dtype()); }

// Tiles of out, sized by the work alone. A tile packs its operands for itself, so it is wide enough
// (about 256 x 512) for that to cost a few percent of its products; a small product is cut finer,
// to give every core a share.
struct Tiling {
  int64_t rows, cols;    // of a tile
  int64_t across, down;  // tiles per matrix
};

Tiling plan_tiles(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kRows = 256, kCols = 512, kUnit = 64, kRowUnit = 32;
  constexpr double kLeastFlops = 8e6;
  const auto pieces = [](int64_t extent, int64_t most) { return (extent + most - 1) / most; };
  const auto each = [&](int64_t extent, int64_t count, int64_t unit) {
    return std::min(extent, pieces(pieces(extent, count), unit) * unit);
  };
  const double flops =
      2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const auto wanted = static_cast<int64_t>(std::clamp(flops / kLeastFlops, 1.0, 4.0));
  int64_t across = pieces(n, kCols), down = pieces(m, kRows);
  while (across * down < wanted && m >= 2 * kUnit * down) ++down;
  while (across * down < wanted && n >= 2 * kUnit * across) ++across;
  if (down > 1 && across * down % 2 == 1) ++down;  // an even count shares evenly between two cores
  Tiling t{each(m, down, kRowUnit), each(n, across, kUnit), 0, 0};
  t.down = pieces(m, t.rows);
  t.across = pieces(n, t.cols);
  return t;
}

// Offset in elements of the b-th matrix of a batch, for broadcast batch strides.
int64_t batch_offset(int64_t b, const Shape& batch, const Tensor& x) {
  int64_t offset = 0;
  for (int d = batch.rank() - 1; d >= 0; --d) {
    offset += b % batch[d] * x.strides()[d];
    b /= batch[d];
  }
  return offset;
}

const std::byte* at(const Tensor& x, int64_t offset) {
  return static_cast<const std::byte*>(x.raw()) + offset * static_cast<int64_t>(size_of(x.dtype()));
}

int64_t element(MatrixLayout layout, int64_t row, int64_t col) {
  return layout.transposed ? col * layout.ld + row : row * layout.ld + col;
}

struct Job {
  Tensor a, b, out, activated;  // batch dimensions of a and b expanded to out's
  Tensor bias;                  // f32 or f64 [N]
  MatrixLayout la, lb;
  Shape batch;
  int64_t m, n, k;
  bool accumulate;
  Activation activation;

  // One f32 matrix, by kernels/matmul/packed.h.
  void whole() const {
    const Tensor& target = activated.defined() ? activated : out;
    packed_product({.m = m,
                    .n = n,
                    .k = k,
                    .a = a.data<float>(),
                    .b = b.data<float>(),
                    .c = out.data<float>(),
                    .lda = la.ld,
                    .lb = lb,
                    .ldc = out.stride(-2),
                    .accumulate = accumulate,
                    .bias = bias.defined() ? bias.data<float>() : nullptr,
                    .activation = activation,
                    .activated = target.data<float>(),
                    .ld_activated = target.stride(-2)});
  }

  void tile(int64_t which, const Tiling& tiling) const {
    const int64_t per_matrix = tiling.down * tiling.across;
    const int64_t matrix = which / per_matrix, in_matrix = which % per_matrix;
    const int64_t row = in_matrix / tiling.across * tiling.rows,
                  col = in_matrix % tiling.across * tiling.cols;
    const int64_t rows = std::min(tiling.rows, m - row), cols = std::min(tiling.cols, n - col);
    const std::byte* pa = at(a, batch_offset(matrix, batch, a) + element(la, row, 0));
    const std::byte* pb = at(b, batch_offset(matrix, batch, b) + element(lb, 0, col));
    const int64_t ldc = m == 1 ? n : out.stride(-2);
    auto* pc = const_cast<std::byte*>(at(out, batch_offset(matrix, batch, out) + row * ldc + col));
    if (a.dtype() == DType::f64) {
      product_f64({rows, cols, k}, reinterpret_cast<const double*>(pa), la,
                  reinterpret_cast<const double*>(pb), lb, reinterpret_cast<double*>(pc), ldc,
                  accumulate, bias.defined() ? bias.data<double>() + col : nullptr);
    } else {
      const Product product{rows, cols, k,   a.dtype(),  out.dtype(),
                            la,   lb,   ldc, accumulate, bias.defined()};
      product_onednn(product, pa, pb, pc, bias.defined() ? bias.data<float>() + col : nullptr);
    }
    if (activation != Activation::none) {
      const Tensor& target = activated.defined() ? activated : out;
      const int64_t ldt = m == 1 ? n : target.stride(-2);
      auto* pt =
          const_cast<std::byte*>(at(target, batch_offset(matrix, batch, target) + row * ldt + col));
      activate_tile(activation, out.dtype(), rows, cols, pc, ldc, pt, ldt);
    }
  }
};

// A batch of products with one shared b is one product when a's and out's rows lie evenly in
// memory.
void fold_batch(Job& job) {
  for (int d = 0; d < job.batch.rank(); ++d) {
    if (job.batch[d] != 1 && job.b.strides()[d] != 0) return;
  }
  Shape rows{job.batch.numel() * job.m};
  Shape strides;
  const auto flat = [&](const Tensor& x, int64_t cols, Tensor* folded) {
    if (!views::can_reshape(x, {rows[0], cols}, &strides)) return false;
    *folded = views::reshape(x, {rows[0], cols});
    return true;
  };
  Tensor a, out, activated;
  if (!flat(job.a, job.k, &a) || !flat(job.out, job.n, &out)) return;
  if (job.activated.defined() && !flat(job.activated, job.n, &activated)) return;
  const auto layout = layout_of(a);
  if (!layout || out.stride(-1) != 1) return;
  Tensor b = job.b;
  while (b.rank() > 2) b = views::select(b, 0, 0);
  job.a = a;
  job.b = b;
  job.out = out;
  job.activated = activated;
  job.la = *layout;
  job.m = rows[0];
  job.batch = {};
}

Tensor with_batch(const Tensor& x, const Shape& batch) {
  Shape shape = batch;
  shape.push_back(x.size(-2));
  shape.push_back(x.size(-1));
  return x.shape() == shape ? x : views::expand(x, shape);
}

void check(const Tensor& a, const Tensor& b, const Tensor& out, const GemmOptions& options) {
  for (const Tensor* x : {&a, &b, &out}) {
    HEED_CHECK(x->device() == out.device(), "gemm: {} on {} into {} on {}", *x,
               x->device().to_string(), out, out.device().to_string());
    HEED_CHECK(x->rank() >= 2, "gemm: {} is no matrix", *x);
  }
  HEED_CHECK(a.dtype() == b.dtype(), "gemm: operands {} and {} differ in dtype", a, b);
  HEED_CHECK(a.dtype() == DType::f32 || a.dtype() == DType::bf16 || a.dtype() == DType::f64,
             "gemm: operands of {}", name_of(a.dtype()));
  HEED_CHECK(out.dtype() == a.dtype() || (a.dtype() == DType::bf16 && out.dtype() == DType::f32),
             "gemm: {} x {} into {}", a, b, out);
  HEED_CHECK(a.size(-1) == b.size(-2) && a.size(-2) == out.size(-2) && b.size(-1) == out.size(-1),
             "gemm: {} x {} into {}", a, b, out);
  HEED_CHECK(out.stride(-1) == 1 || out.size(-1) == 1, "gemm: {} with strides {} as the result",
             out, out.strides());
  HEED_CHECK(!options.accumulate || (out.dtype() != DType::bf16 && !options.bias.defined() &&
                                     options.activation == Activation::none),
             "gemm: accumulation takes neither bias nor activation nor a bf16 result");
  HEED_CHECK(!options.bias.defined() || options.bias.shape() == Shape{b.size(-1)},
             "gemm: bias {} for {} columns", options.bias, b.size(-1));
  HEED_CHECK(!options.activated.defined() || (options.activated.shape() == out.shape() &&
                                              options.activated.dtype() == out.dtype()),
             "gemm: activated {} beside {}", options.activated, out);
}

// One call of the library for the last dimension of the batch, a loop over what is before it. False
// when it has no kernel for what follows the product.
bool products_on_device(const Job& job, bool follows) {
  const auto batch_strides = [&](const Tensor& x) {
    return Shape(std::span(x.strides().begin(), static_cast<size_t>(job.batch.rank())));
  };
  const Tensor& target = follows && job.activated.defined() ? job.activated : job.out;
  const std::array<Shape, 3> strides = {batch_strides(job.a), batch_strides(job.b),
                                        batch_strides(target)};
  const StridedLoop loop(job.batch, strides);
  const bool keeps = follows && job.activated.defined();
  Tensor bias;
  if (follows && job.bias.defined()) bias = contiguous_as(job.bias, job.out.dtype());
  const auto byte = [](const Tensor& x, int64_t offset) {
    return static_cast<char*>(x.raw()) + offset * static_cast<int64_t>(size_of(x.dtype()));
  };
  bool done = true;
  loop.for_each_row(0, loop.numel(), [&](const StridedLoop::Offsets& at, int64_t count) {
    // one product has no stride, which would count against the alignment of its operands
    const auto step = [&](int operand) { return count == 1 ? int64_t{0} : loop.step(operand); };
    done = done && product_cuda({"gemm", job.a, job.b, job.out},
                                {.in = job.a.dtype(),
                                 .out = job.out.dtype(),
                                 .m = job.m,
                                 .n = job.n,
                                 .k = job.k,
                                 .a = job.la,
                                 .b = job.lb,
                                 .ldc = job.m == 1 ? job.n : target.stride(-2),
                                 .batch = count,
                                 .a_stride = step(0),
                                 .b_stride = step(1),
                                 .c_stride = step(2),
                                 .a_data = byte(job.a, at[0]),
                                 .b_data = byte(job.b, at[1]),
                                 .c_data = byte(target, at[2]),
                                 .accumulate = job.accumulate,
                                 .bias = bias.defined() ? bias.raw() : nullptr,
                                 .activation = follows ? job.activation : Activation::none,
                                 .before = keeps ? byte(job.out, at[2]) : nullptr});
  });
  return done;
}

void gemm_on_device(const Job& job) {
  const bool more = job.bias.defined() || job.activation != Activation::none;
  // what follows lies like the result, so that one description serves both
  const bool alike = !job.activated.defined() || job.activated.strides() == job.out.strides();
  const bool follows = more && alike && job.batch.numel() == 1 &&
                       can_follow(job.out.dtype(), job.activation, job.activated.defined());
  if (follows && products_on_device(job, true)) return;
  products_on_device(job, false);
  if (job.bias.defined()) {
    add_into(job.out, contiguous_as(job.bias, job.out.dtype()), job.out);
  }
  if (job.activation != Activation::none) {
    copy(unary(unary_of(job.activation), job.out),
         job.activated.defined() ? job.activated : job.out);
  }
}

}  // namespace

void gemm(const Tensor& a, const Tensor& b, const Tensor& out, const GemmOptions& options) {
  check(a, b, out, options);
  Job job;
  job.m = out.size(-2);
  job.n = out.size(-1);
  job.k = a.size(-1);
  job.accumulate = options.accumulate;
  job.activation = options.activation;
  job.batch = Shape(std::span(out.shape().begin(), static_cast<size_t>(out.rank() - 2)));
  if (out.numel() == 0) return;
  if (job.k == 0) {
    HEED_CHECK(
        !options.bias.defined() && options.activation == Activation::none && out.is_contiguous(),
        "gemm: {} x {} has nothing to sum", a, b);
    if (!options.accumulate) fill(out, 0);
    return;
  }
  job.out = out;
  job.activated = options.activated;
  job.a = with_batch(readable(a), job.batch);
  job.b = with_batch(readable(b), job.batch);
  job.la = *layout_of(job.a);
  job.lb = *layout_of(job.b);
  if (options.bias.defined()) {
    job.bias = contiguous_as(options.bias, a.dtype() == DType::f64 ? DType::f64 : DType::f32);
  }
  if (job.batch.rank() > 0) fold_batch(job);
  count_flops(2.0 * static_cast<double>(job.batch.numel() * job.m) *
              static_cast<double>(job.n * job.k));

  if (out.device().is_cuda()) {
    gemm_on_device(job);
    out.bump_version();
    return;
  }
  require_cpu(out.device(), "gemm");
  if (job.batch.rank() == 0 && a.dtype() == DType::f32 &&
      packed_pays(job.m, job.n, job.k, job.la)) {
    job.whole();
    out.bump_version();
    return;
  }
  const Tiling tiling = plan_tiles(job.m, job.n, job.k);
  const int64_t tiles = job.batch.numel() * tiling.down * tiling.across;
  const double flops =
      2.0 * static_cast<double>(tiling.rows * tiling.cols) * static_cast<double>(job.k);
  const auto grain = static_cast<int64_t>(std::clamp(2e6 / flops, 1.0, 1e6));
  parallel_for(tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) job.tile(t, tiling);
  });
  out.bump_version();
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  HEED_CHECK(a.rank() >= 2 && b.rank() >= 2, "matmul: {} x {}", a, b);
  const auto batch_of = [](const Tensor& x) {
    return Shape(std::span(x.shape().begin(), static_cast<size_t>(x.rank() - 2)));
  };
  Shape shape = broadcast_shapes(batch_of(a), batch_of(b), "matmul");
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  const Tensor out = Tensor::empty(shape, a.dtype(), a.device());
  gemm(a, b, out);
  return out;
}

}  // namespace heed::kernels
