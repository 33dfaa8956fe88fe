// Each result pixel gathers its taps: no scattering, so that rows of results are independent and
// nothing depends on the thread count. A row's taps are listed once. Vectors run along the
// channels, four at a time, which stay in registers while the taps pass by.
#include "kernels/separable/separable.h"

#include <algorithm>
#include <array>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/separable/device_separable.h"
#include "kernels/separable/taps.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/separable/separable.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

// Calls fn(weight, element) for every tap of pixel o.
template <class T, class Fn>
HWY_INLINE void for_taps(const T* x, const RowTaps& taps, int64_t o, const Fn& fn) {
  using A = accumulate_t<T>;
  const int64_t begin = taps.start[o], end = taps.start[o + 1];
  for (size_t r = 0; r < taps.rows; ++r) {
    const T* row = x + taps.row_offset[r];
    for (int64_t k = begin; k < end; ++k) {
      fn(static_cast<A>(taps.row_weight[r] * taps.weight[k]), row + taps.index[k] * taps.channels);
    }
  }
}

template <class T>
void weighted(const T* x, const RowTaps& taps, T* y) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const size_t n = static_cast<size_t>(taps.channels), lanes = hn::Lanes(d);
  for (int64_t o = 0; o < taps.pixels; ++o, y += n) {
    size_t c = 0;
    for (; c + 4 * lanes <= n; c += 4 * lanes) {
      auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
      for_taps(x + c, taps, o, [&](A weight, const T* from) HWY_ATTR {
        const auto w = hn::Set(d, weight);
        s0 = hn::MulAdd(w, load_row(d, from, Whole{}), s0);
        s1 = hn::MulAdd(w, load_row(d, from + lanes, Whole{}), s1);
        s2 = hn::MulAdd(w, load_row(d, from + 2 * lanes, Whole{}), s2);
        s3 = hn::MulAdd(w, load_row(d, from + 3 * lanes, Whole{}), s3);
      });
      store_row(d, s0, y + c, Whole{});
      store_row(d, s1, y + c + lanes, Whole{});
      store_row(d, s2, y + c + 2 * lanes, Whole{});
      store_row(d, s3, y + c + 3 * lanes, Whole{});
    }
    const auto one = [&](size_t at, auto width) HWY_ATTR {
      auto s = hn::Zero(d);
      for_taps(x + at, taps, o, [&](A weight, const T* from) HWY_ATTR {
        s = hn::MulAdd(hn::Set(d, weight), load_row(d, from, width), s);
      });
      store_row(d, s, y + at, width);
    };
    for (; c + lanes <= n; c += lanes) one(c, Whole{});
    if (c < n) one(c, n - c);
  }
}

void weighted_f32(const float* x, const RowTaps& taps, float* y) { weighted(x, taps, y); }
void weighted_bf16(const bfloat16* x, const RowTaps& taps, bfloat16* y) { weighted(x, taps, y); }
void weighted_f64(const double* x, const RowTaps& taps, double* y) { weighted(x, taps, y); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(const DeviceSeparable&)> separable_cuda;

namespace {

HWY_EXPORT(weighted_f32);
HWY_EXPORT(weighted_bf16);
HWY_EXPORT(weighted_f64);

void weighted_row(const float* x, const RowTaps& taps, float* y) {
  HWY_DYNAMIC_DISPATCH(weighted_f32)(x, taps, y);
}
void weighted_row(const bfloat16* x, const RowTaps& taps, bfloat16* y) {
  HWY_DYNAMIC_DISPATCH(weighted_bf16)(x, taps, y);
}
void weighted_row(const double* x, const RowTaps& taps, double* y) {
  HWY_DYNAMIC_DISPATCH(weighted_f64)(x, taps, y);
}

constexpr int64_t kWork = 16384;  // multiplications of a chunk

// One row of results: pixels (b, o0, o1, 0 ... out2).
template <class T>
void result_row(const T* x, const std::array<const AxisMap*, 3>& axes, int64_t row,
                int64_t channels, std::vector<int64_t>& offset, std::vector<double>& weight, T* y) {
  const AxisMap &a0 = *axes[0], &a1 = *axes[1], &a2 = *axes[2];
  const auto o1 = static_cast<size_t>(row % a1.out());
  const auto o0 = static_cast<size_t>(row / a1.out() % a0.out());
  const T* image = x + row / (a0.out() * a1.out()) * a0.in * a1.in * a2.in * channels;
  offset.clear();
  weight.clear();
  for (auto i = static_cast<size_t>(a0.start[o0]); i < static_cast<size_t>(a0.start[o0 + 1]); ++i) {
    for (auto j = static_cast<size_t>(a1.start[o1]); j < static_cast<size_t>(a1.start[o1 + 1]);
         ++j) {
      offset.push_back((a0.index[i] * a1.in + a1.index[j]) * a2.in * channels);
      weight.push_back(a0.weight[i] * a1.weight[j]);
    }
  }
  const RowTaps taps{offset.data(),   weight.data(),    offset.size(), a2.start.data(),
                     a2.index.data(), a2.weight.data(), a2.out(),      channels};
  weighted_row(image, taps, y + row * a2.out() * channels);
}

// The lists of all axes go along in two pieces.
void on_device(const char* op, const Tensor& x, const std::array<const AxisMap*, 3>& axes,
               const Tensor& y) {
  std::vector<int64_t> numbers;
  std::vector<double> weights;
  for (const AxisMap* axis : axes) {
    numbers.insert(numbers.end(), axis->start.begin(), axis->start.end());
    numbers.insert(numbers.end(), axis->index.begin(), axis->index.end());
    weights.insert(weights.end(), axis->weight.begin(), axis->weight.end());
  }
  const Tensor lists = Tensor::from(numbers, {std::ssize(numbers)}).to(x.device());
  const Tensor factors = Tensor::from(weights, {std::ssize(weights)}).to(x.device());
  DeviceSeparable s{.dtype = x.dtype(),
                    .batch = x.size(0),
                    .channels = x.size(-1),
                    .axis = {},
                    .x = x.raw(),
                    .y = y.raw()};
  const int64_t* list = lists.data<int64_t>();
  const double* factor = factors.data<double>();
  for (size_t d = 0; d < 3; ++d) {
    const AxisMap& map = *axes[d];
    s.axis[d] = {map.in, map.out(), list, list + map.start.size(), factor};
    list += map.start.size() + map.index.size();
    factor += map.weight.size();
  }
  separable_cuda({op, x, y}, s);
}

}  // namespace

void AxisMap::add(int64_t column, double value) {
  HEED_CHECK(column >= 0 && column < in, "axis map: column {} of {}", column, in);
  index.push_back(column);
  weight.push_back(value);
}

AxisMap AxisMap::transposed() const {
  std::vector<std::vector<std::pair<int64_t, double>>> rows(static_cast<size_t>(in));
  for (int64_t o = 0; o < out(); ++o) {
    for (int64_t k = start[static_cast<size_t>(o)]; k < start[static_cast<size_t>(o) + 1]; ++k) {
      const size_t entry = static_cast<size_t>(k);
      rows[static_cast<size_t>(index[entry])].emplace_back(o, weight[entry]);
    }
  }
  AxisMap t(out());
  for (const auto& row : rows) {
    for (const auto& [column, value] : row) t.add(column, value);
    t.end_row();
  }
  return t;
}

AxisMap identity_map(int64_t extent) {
  AxisMap map(extent);
  for (int64_t i = 0; i < extent; ++i) {
    map.add(i, 1.0);
    map.end_row();
  }
  return map;
}

Tensor separable(const Tensor& x, const std::vector<AxisMap>& axes, const char* op) {
  HEED_CHECK(!axes.empty() && axes.size() <= 3 && x.rank() == static_cast<int>(axes.size()) + 2,
             "{}: x is {}, needs [B, spatial..., C] with {} spatial dimensions", op, x,
             axes.size());
  Shape shape = x.shape();
  const AxisMap single = identity_map(1);
  std::array<const AxisMap*, 3> three = {&single, &single, &single};
  double taps = 1;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int d = static_cast<int>(i) + 1;
    HEED_CHECK(axes[i].in == shape[d], "{}: dimension {} of {} is not {}", op, d, x, axes[i].in);
    shape[d] = axes[i].out();
    three[i + 3 - axes.size()] = &axes[i];
    taps *= static_cast<double>(axes[i].index.size() + 1) /
            static_cast<double>(std::max<int64_t>(axes[i].out(), 1));
  }
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  if (y.numel() == 0) return y;
  const Tensor dense = contiguous(x);
  if (x.device().is_cuda()) {
    on_device(op, dense, three, y);
    return y;
  }
  require_cpu(x.device(), op);
  const int64_t channels = x.size(-1), width = three[2]->out();
  const int64_t rows = y.numel() / (width * channels);
  const double work = taps * static_cast<double>(width * channels);
  const int64_t grain = std::max<int64_t>(1, static_cast<int64_t>(kWork / work));
  dispatch_floating(x.dtype(), op, [&](auto type) {
    using T = decltype(type);
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      std::vector<int64_t> offset;
      std::vector<double> weight;
      for (int64_t row = begin; row < end; ++row) {
        result_row(dense.data<T>(), three, row, channels, offset, weight, y.data<T>());
      }
    });
  });
  return y;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
