#include "kernels/position/rotary.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/position/rotary_rows.h"

namespace heed::kernels {

DeviceKernel<void(const RotaryRows&)> rotary_cuda;

namespace {

// Loops that the compiler vectorises, compiled for each x86-64 level and chosen at load time.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HEED_LEVELS __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define HEED_LEVELS
#endif

/// What a table is made from.
struct TableKey {
  std::vector<int64_t> positions;
  int64_t rotary_dim = 0;
  double base = 0.0;
  DType dtype = DType::f32;
  RotaryScaling scaling = {};
  bool operator==(const TableKey&) const = default;
};

template <class A>
void fill_table(const TableKey& key, const Tensor& cos, const Tensor& sin) {
  const int64_t pairs = key.rotary_dim / 2;
  std::vector<double> frequency(static_cast<size_t>(pairs));
  for (int64_t i = 0; i < pairs; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(key.rotary_dim);
    frequency[static_cast<size_t>(i)] = key.scaling(std::pow(key.base, exponent));
  }
  A *c = cos.data<A>(), *s = sin.data<A>();
  parallel_for(static_cast<int64_t>(key.positions.size()), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto position = static_cast<double>(key.positions[static_cast<size_t>(row)]);
      for (int64_t i = 0; i < pairs; ++i) {
        const double angle = position * frequency[static_cast<size_t>(i)];
        c[row * pairs + i] = static_cast<A>(std::cos(angle));
        s[row * pairs + i] = static_cast<A>(std::sin(angle));
      }
    }
  });
}

template <class T, class A>
[[gnu::always_inline]] inline void rotate_pairs(const T* x, T* y, const A* c, const A* s, A sign,
                                                bool interleaved, int64_t pairs) {
  auto turn = [&](int64_t i, int64_t at, int64_t other) {
    const A a = static_cast<A>(x[at]), b = static_cast<A>(x[other]), t = sign * s[i];
    y[at] = static_cast<T>(a * c[i] - b * t);
    y[other] = static_cast<T>(b * c[i] + a * t);
  };
  if (interleaved) {
    for (int64_t i = 0; i < pairs; ++i) turn(i, 2 * i, 2 * i + 1);
  } else {
    for (int64_t i = 0; i < pairs; ++i) turn(i, i, i + pairs);
  }
}

HEED_LEVELS void rotate_row(const float* __restrict x, float* __restrict y,
                            const float* __restrict c, const float* __restrict s, float sign,
                            bool interleaved, int64_t pairs) {
  rotate_pairs(x, y, c, s, sign, interleaved, pairs);
}
HEED_LEVELS void rotate_row(const bfloat16* __restrict x, bfloat16* __restrict y,
                            const float* __restrict c, const float* __restrict s, float sign,
                            bool interleaved, int64_t pairs) {
  rotate_pairs(x, y, c, s, sign, interleaved, pairs);
}
void rotate_row(const double* __restrict x, double* __restrict y, const double* __restrict c,
                const double* __restrict s, double sign, bool interleaved, int64_t pairs) {
  rotate_pairs(x, y, c, s, sign, interleaved, pairs);
}

// The table on a device; the last one sent is remembered, since layers share theirs.
RotaryTable table_on(const RotaryTable& table, Device device) {
  thread_local Tensor last_cos;
  thread_local RotaryTable last;
  if (!last_cos.defined() || !last_cos.is_same(table.cos) || last.cos.device() != device) {
    last = {table.cos.to(device), table.sin.to(device), table.interleaved};
    last_cos = table.cos;
  }
  return {last.cos, last.sin, table.interleaved};
}

void rotate_on_device(const Tensor& x, const Tensor& y, const RotaryTable& host, bool inverse,
                      int64_t rotated_heads) {
  const RotaryTable table = table_on(host, x.device());
  const int64_t rows = x.size(2), pairs = table.cos.size(-1);
  rotary_cuda({"rotary", x, y, table.cos}, {x.dtype(),
                                            table.interleaved,
                                            inverse,
                                            x.size(0),
                                            x.size(1),
                                            rows,
                                            x.size(3),
                                            pairs,
                                            rotated_heads < 0 ? x.size(1) : rotated_heads,
                                            table.cos.rank() == 3 ? rows * pairs : 0,
                                            {x.stride(0), x.stride(1), x.stride(2)},
                                            {y.stride(0), y.stride(1), y.stride(2)},
                                            table.cos.raw(),
                                            table.sin.raw(),
                                            x.raw(),
                                            y.raw()});
}

}  // namespace

double RotaryScaling::operator()(double frequency) const {
  if (kind == Kind::none) return frequency;
  if (kind == Kind::linear) return frequency / factor;
  const double turns = static_cast<double>(context) * frequency / (2.0 * std::numbers::pi);
  const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
  return (1.0 - kept) * frequency / factor + kept * frequency;
}

RotaryTable rotary_table(const Tensor& positions, int64_t batch, int64_t rows, int64_t head_dim,
                         int64_t rotary_dim, double base, bool interleaved, DType dtype,
                         const RotaryScaling& scaling) {
  if (rotary_dim == 0) rotary_dim = head_dim;
  HEED_CHECK(rotary_dim > 0 && rotary_dim <= head_dim && rotary_dim % 2 == 0,
             "rotary: cannot rotate {} of {} features (an even number up to all)", rotary_dim,
             head_dim);
  HEED_CHECK(base > 0.0, "rotary: base {} is not positive", base);
  HEED_CHECK(positions.dtype() == DType::i64 &&
                 (positions.shape() == Shape{rows} || positions.shape() == Shape{batch, rows}),
             "rotary: positions {} are not i64[{}] or i64[{}, {}]", positions, rows, batch, rows);
  const DType table_dtype = dtype == DType::f64 ? DType::f64 : DType::f32;
  TableKey key{positions.to_vector<int64_t>(), rotary_dim, base, table_dtype, scaling};

  thread_local TableKey last_key;
  thread_local RotaryTable last;
  Shape shape = positions.shape();
  shape.push_back(rotary_dim / 2);
  if (!last.cos.defined() || last.cos.shape() != shape || last_key != key) {
    last = {Tensor::empty(shape, table_dtype), Tensor::empty(shape, table_dtype)};
    if (table_dtype == DType::f64)
      fill_table<double>(key, last.cos, last.sin);
    else
      fill_table<float>(key, last.cos, last.sin);
    last_key = std::move(key);
  }
  return {last.cos, last.sin, interleaved};
}

void rotate(const Tensor& x_in, const Tensor& y, const RotaryTable& table, bool inverse,
            int64_t rotated_heads) {
  const bool rows_contiguous = x_in.size(3) == 1 || x_in.stride(3) == 1;
  const Tensor x = rows_contiguous ? x_in : contiguous_as(x_in, x_in.dtype());
  HEED_CHECK(x.shape() == y.shape() && y.stride(3) == 1, "rotary: from {} to {}", x, y);
  if (x.device().is_cuda()) return rotate_on_device(x, y, table, inverse, rotated_heads);
  require_cpu(x.device(), "rotary");
  const int64_t batch = x.size(0), heads = x.size(1), rows = x.size(2), width = x.size(3);
  const int64_t pairs = table.cos.size(-1);
  const int64_t table_batch_stride = table.cos.rank() == 3 ? rows * pairs : 0;
  if (rotated_heads < 0) rotated_heads = heads;
  dispatch_floating(x.dtype(), "rotary", [&](auto type) {
    using T = decltype(type);
    using A = accumulate_t<T>;
    const A sign = inverse ? A{-1} : A{1};
    const A *cos = table.cos.data<A>(), *sin = table.sin.data<A>();
    const T* from = x.data<T>();
    T* to = y.data<T>();
    const int64_t grain = std::max<int64_t>(1, 16384 / (heads * width));
    parallel_for(batch * rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t token = begin; token < end; ++token) {
        const int64_t b = token / rows, i = token % rows;
        const int64_t at = b * table_batch_stride + i * pairs;
        for (int64_t h = 0; h < heads; ++h) {
          const T* source = from + b * x.stride(0) + h * x.stride(1) + i * x.stride(2);
          T* target = to + b * y.stride(0) + h * y.stride(1) + i * y.stride(2);
          const int64_t turned = h < rotated_heads ? pairs : 0;
          if (turned > 0)
            rotate_row(source, target, cos + at, sin + at, sign, table.interleaved, pairs);
          std::copy(source + 2 * turned, source + width, target + 2 * turned);
        }
      }
    });
  });
}

}  // namespace heed::kernels
