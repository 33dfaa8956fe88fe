// Lanes run along the channels, rows pass four at a time. Forward reads x for the moments and once
// more for the result (3 elements moved an element); backward reads x and dy for the sums and again
// for dx (5 elements an element).
#include "kernels/norm/channel_norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/norm/channels.h"
#include "kernels/norm/device_channels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/channel_norm.cpp"
#include "kernels/simd.h"
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

// sum[c] += the sum over rows r of term(r * channels + c, c, count).
template <class A, class Term>
HWY_INLINE void add_rows(size_t rows, size_t channels, A* sum, const Term& term) {
  const hn::ScalableTag<A> d;
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    for_vectors<A>(channels, [&](size_t c, auto count) HWY_ATTR {
      const size_t at = r * channels + c;
      const auto low = hn::Add(term(at, c, count), term(at + channels, c, count));
      const auto high =
          hn::Add(term(at + 2 * channels, c, count), term(at + 3 * channels, c, count));
      store_row(d, hn::Add(load_row(d, sum + c, count), hn::Add(low, high)), sum + c, count);
    });
  }
  for (; r < rows; ++r) {
    for_vectors<A>(channels, [&](size_t c, auto count) HWY_ATTR {
      const auto more = term(r * channels + c, c, count);
      store_row(d, hn::Add(load_row(d, sum + c, count), more), sum + c, count);
    });
  }
}

template <class T>
void moments(const ChannelRows& a) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const size_t rows = static_cast<size_t>(a.rows), channels = static_cast<size_t>(a.channels);
  const T* x = static_cast<const T*>(a.x);
  A* mean = static_cast<A*>(a.first);
  A* squares = static_cast<A*>(a.second);
  std::fill_n(mean, channels, A(0));
  std::fill_n(squares, channels, A(0));
  // from the first row on, so that a large offset does not cost the sum its digits
  add_rows(rows, channels, mean, [&](size_t at, size_t c, auto count) HWY_ATTR {
    return hn::Sub(load_row(d, x + at, count), load_row(d, x + c, count));
  });
  for (size_t c = 0; c < channels; ++c) {
    mean[c] = static_cast<A>(x[c]) + mean[c] / static_cast<A>(rows);
  }
  add_rows(rows, channels, squares, [&](size_t at, size_t c, auto count) HWY_ATTR {
    const auto centred = hn::Sub(load_row(d, x + at, count), load_row(d, mean + c, count));
    return hn::Mul(centred, centred);
  });
}

template <class T>
void products(const ChannelRows& a) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const size_t rows = static_cast<size_t>(a.rows), channels = static_cast<size_t>(a.channels);
  const T* x = static_cast<const T*>(a.x);
  const T* dy = static_cast<const T*>(a.dy);
  const A* mean = static_cast<const A*>(a.mean);
  A* sum = static_cast<A*>(a.first);
  A* product = static_cast<A*>(a.second);
  std::fill_n(sum, channels, A(0));
  std::fill_n(product, channels, A(0));
  add_rows(rows, channels, sum,
           [&](size_t at, size_t, auto count) HWY_ATTR { return load_row(d, dy + at, count); });
  add_rows(rows, channels, product, [&](size_t at, size_t c, auto count) HWY_ATTR {
    const auto centred = hn::Sub(load_row(d, x + at, count), load_row(d, mean + c, count));
    return hn::Mul(load_row(d, dy + at, count), centred);
  });
}

// (x - mean) scale + offset
template <class T>
void forward(const ChannelRows& a) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const A *mean = static_cast<const A*>(a.mean), *scale = static_cast<const A*>(a.scale),
          *offset = static_cast<const A*>(a.offset);
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* x = static_cast<const T*>(a.x) + r * a.channels;
    T* y = static_cast<T*>(a.out) + r * a.channels;
    for_vectors<A>(static_cast<size_t>(a.channels), [&](size_t c, auto count) HWY_ATTR {
      const auto centred = hn::Sub(load_row(d, x + c, count), load_row(d, mean + c, count));
      auto out = hn::Mul(centred, load_row(d, scale + c, count));
      if (offset != nullptr) out = hn::Add(out, load_row(d, offset + c, count));
      store_row(d, out, y + c, count);
    });
  }
}

// dy scale + (x - mean) slope + offset; without a slope dy scale
template <class T>
void backward(const ChannelRows& a) {
  using A = accumulate_t<T>;
  const hn::ScalableTag<A> d;
  const A *mean = static_cast<const A*>(a.mean), *scale = static_cast<const A*>(a.scale),
          *slope = static_cast<const A*>(a.slope), *offset = static_cast<const A*>(a.offset);
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* dy = static_cast<const T*>(a.dy) + r * a.channels;
    const T* x = static_cast<const T*>(a.x) + r * a.channels;
    T* dx = static_cast<T*>(a.out) + r * a.channels;
    for_vectors<A>(static_cast<size_t>(a.channels), [&](size_t c, auto count) HWY_ATTR {
      auto out = hn::Mul(load_row(d, dy + c, count), load_row(d, scale + c, count));
      if (slope != nullptr) {
        const auto centred = hn::Sub(load_row(d, x + c, count), load_row(d, mean + c, count));
        out = hn::MulAdd(centred, load_row(d, slope + c, count), out);
        out = hn::Add(out, load_row(d, offset + c, count));
      }
      store_row(d, out, dx + c, count);
    });
  }
}

void channel_moments_rows(const ChannelRows& a) {
  if (a.dtype == DType::f32) return moments<float>(a);
  if (a.dtype == DType::bf16) return moments<bfloat16>(a);
  return moments<double>(a);
}

void channel_products_rows(const ChannelRows& a) {
  if (a.dtype == DType::f32) return products<float>(a);
  if (a.dtype == DType::bf16) return products<bfloat16>(a);
  return products<double>(a);
}

void channel_forward_rows(const ChannelRows& a) {
  if (a.dtype == DType::f32) return forward<float>(a);
  if (a.dtype == DType::bf16) return forward<bfloat16>(a);
  return forward<double>(a);
}

void channel_backward_rows(const ChannelRows& a) {
  if (a.dtype == DType::f32) return backward<float>(a);
  if (a.dtype == DType::bf16) return backward<bfloat16>(a);
  return backward<double>(a);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

DeviceKernel<void(ChannelStep, const ChannelPieces&)> channel_cuda;

namespace {

HWY_EXPORT(channel_moments_rows);
HWY_EXPORT(channel_products_rows);
HWY_EXPORT(channel_forward_rows);
HWY_EXPORT(channel_backward_rows);

DType accumulation(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

// x [B, S, C] cut into pieces of rows that stay in the cache: a function of the shape alone.
struct Pieces {
  int64_t samples, positions, channels;
  int64_t rows;        // of a piece
  int64_t per_sample;  // pieces

  explicit Pieces(const Shape& shape)
      : samples(shape[0]),
        positions(shape[1]),
        channels(shape[2]),
        rows(std::max<int64_t>(16, 16384 / channels)),
        per_sample((positions + rows - 1) / rows) {}

  int64_t count() const { return samples * per_sample; }
  int64_t sample(int64_t piece) const { return piece / per_sample; }
  int64_t rows_of(int64_t piece) const {
    return std::min(rows, positions - piece % per_sample * rows);
  }
  /// First element of the piece.
  int64_t begin(int64_t piece) const {
    return (sample(piece) * positions + piece % per_sample * rows) * channels;
  }

  template <class Fn>
  void for_each(const Fn& fn) const {
    parallel_for(count(), 1, [&](int64_t first, int64_t last) {
      for (int64_t piece = first; piece < last; ++piece) fn(piece);
    });
  }
};

// All pieces of row-major x, for a device.
ChannelPieces on_device(const Pieces& pieces, const Tensor& x) {
  return {.dtype = x.dtype(),
          .samples = pieces.samples,
          .positions = pieces.positions,
          .channels = pieces.channels,
          .rows = pieces.rows,
          .per_sample = pieces.per_sample,
          .x = x.raw()};
}

void* element(const Tensor& t, int64_t index) {
  return static_cast<char*>(t.raw()) + index * static_cast<int64_t>(size_of(t.dtype()));
}

void check(const Tensor& x, const char* op) {
  HEED_CHECK(x.dtype() == DType::f32 || x.dtype() == DType::bf16 || x.dtype() == DType::f64,
             "{}: x is {}, needs f32, bf16 or f64", op, x);
  HEED_CHECK(x.rank() == 3 && x.numel() > 0, "{}: x is {}, needs [B, S, C], none of them 0", op, x);
}

std::vector<double> channel_values(const Tensor& p, const char* name, const char* op,
                                   int64_t channels, double otherwise) {
  if (!p.defined()) return std::vector<double>(static_cast<size_t>(channels), otherwise);
  HEED_CHECK(p.rank() == 1 && p.size(0) == channels && is_floating(p.dtype()),
             "{}: {} is {}, needs floating [{}]", op, name, p, channels);
  return p.to_vector<double>();
}

Tensor from_values(const std::vector<double>& values, const Shape& shape, DType dtype,
                   Device device = kCpu) {
  const Tensor f64 = Tensor::from(values, shape);
  return contiguous_as(f64, dtype).to(device);
}

}  // namespace

ChannelMoments channel_moments(const Tensor& x, int64_t groups, const char* op) {
  check(x, op);
  const Pieces pieces(x.shape());
  const int64_t channels = pieces.channels;
  HEED_CHECK(groups > 0 && channels % groups == 0, "{}: {} groups do not divide {} channels", op,
             groups, channels);
  const DType statistics = accumulation(x.dtype());
  const Tensor dense = contiguous_as(x, x.dtype());
  Tensor means = Tensor::empty({pieces.count(), channels}, statistics, x.device());
  Tensor squares = Tensor::empty({pieces.count(), channels}, statistics, x.device());
  if (x.device().is_cuda()) {
    ChannelPieces all = on_device(pieces, dense);
    all.first = means.raw();
    all.second = squares.raw();
    channel_cuda({op, dense, means}, ChannelStep::moments, all);
    means = means.to(kCpu);
    squares = squares.to(kCpu);
  } else {
    pieces.for_each([&](int64_t piece) {
      HWY_DYNAMIC_DISPATCH(channel_moments_rows)
      ({.dtype = x.dtype(),
        .channels = channels,
        .rows = pieces.rows_of(piece),
        .x = element(dense, pieces.begin(piece)),
        .first = element(means, piece * channels),
        .second = element(squares, piece * channels)});
    });
  }

  ChannelMoments result{Tensor::empty({pieces.samples, channels}, statistics),
                        Tensor::empty({pieces.samples, channels}, statistics)};
  const int64_t width = channels / groups;
  dispatch_floating(statistics, op, [&](auto type) {
    using A = decltype(type);
    // one (sample, group) at a time
    parallel_for(pieces.samples * groups, std::max<int64_t>(1, 1024 / width / pieces.per_sample),
                 [&](int64_t first, int64_t last) {
                   for (int64_t unit = first; unit < last; ++unit) {
                     const int64_t sample = unit / groups, channel = unit % groups * width;
                     double count = 0, mean = 0, square = 0;
                     for (int64_t p = 0; p < pieces.per_sample; ++p) {
                       const int64_t piece = sample * pieces.per_sample + p;
                       const double more = static_cast<double>(pieces.rows_of(piece));
                       for (int64_t c = channel; c < channel + width; ++c) {
                         const int64_t at = piece * channels + c;
                         const double delta = static_cast<double>(means.data<A>()[at]) - mean;
                         const double total = count + more;
                         square += static_cast<double>(squares.data<A>()[at]) +
                                   delta * delta * count * more / total;
                         mean += delta * more / total;
                         count = total;
                       }
                     }
                     std::fill_n(result.mean.data<A>() + sample * channels + channel, width,
                                 static_cast<A>(mean));
                     std::fill_n(result.var.data<A>() + sample * channels + channel, width,
                                 static_cast<A>(square / count));
                   }
                 });
  });
  return result;
}

Tensor inverse_std(const Tensor& var, double eps) {
  std::vector<double> values = var.to_vector<double>();
  for (double& v : values) v = 1 / std::sqrt(v + eps);
  return from_values(values, var.shape(), var.dtype());
}

Tensor channel_norm(const Tensor& x, const Tensor& mean, const Tensor& rstd, const Tensor& weight,
                    const Tensor& bias, const char* op) {
  check(x, op);
  const Pieces pieces(x.shape());
  const int64_t channels = pieces.channels;
  const DType statistics = accumulation(x.dtype());
  const std::vector<double> w = channel_values(weight, "weight", op, channels, 1);
  channel_values(bias, "bias", op, channels, 0);
  std::vector<double> scales = rstd.to_vector<double>();
  for (size_t i = 0; i < scales.size(); ++i) scales[i] *= w[i % w.size()];
  const Tensor scale = from_values(scales, rstd.shape(), statistics, x.device());
  const Tensor offset = bias.defined() ? contiguous_as(bias, statistics) : bias;
  const Tensor centre = contiguous_as(mean, statistics).to(x.device());
  const Tensor dense = contiguous_as(x, x.dtype());
  const Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (x.device().is_cuda()) {
    ChannelPieces all = on_device(pieces, dense);
    all.mean = centre.raw();
    all.scale = scale.raw();
    all.offset = offset.defined() ? offset.raw() : nullptr;
    all.out = out.raw();
    channel_cuda({op, dense, offset, out}, ChannelStep::forward, all);
    return out;
  }
  pieces.for_each([&](int64_t piece) {
    const int64_t at = pieces.sample(piece) * channels;
    HWY_DYNAMIC_DISPATCH(channel_forward_rows)
    ({.dtype = x.dtype(),
      .channels = channels,
      .rows = pieces.rows_of(piece),
      .x = element(dense, pieces.begin(piece)),
      .mean = element(centre, at),
      .scale = element(scale, at),
      .offset = offset.defined() ? offset.raw() : nullptr,
      .out = element(out, pieces.begin(piece))});
  });
  return out;
}

NormGradients channel_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& mean,
                                    const Tensor& rstd, const Tensor& weight, int64_t groups,
                                    bool constant_statistics, const NormWanted& wanted,
                                    const SpreadBatch& spread) {
  const char* op = "channel_norm_backward";
  check(x, op);
  HEED_CHECK(dy.shape() == x.shape(), "{}: dy is {}, x is {}", op, dy, x);
  const Pieces pieces(x.shape());
  const int64_t samples = pieces.samples, channels = pieces.channels;
  const DType statistics = accumulation(x.dtype());
  const Tensor dense = contiguous_as(x, x.dtype()), dense_dy = contiguous_as(dy, x.dtype());
  const Tensor centre = contiguous_as(mean, statistics).to(x.device());
  const std::vector<double> w = channel_values(weight, "weight", op, channels, 1);
  const std::vector<double> r = rstd.to_vector<double>();

  // Over the positions of each sample: the sums of dy and of dy (x - mean), [B, C].
  const size_t size = static_cast<size_t>(samples * channels);
  std::vector<double> sums(size), products(size);
  if (wanted.dweight || wanted.dbias || !constant_statistics) {
    Tensor sum = Tensor::empty({pieces.count(), channels}, statistics, x.device());
    Tensor product = Tensor::empty({pieces.count(), channels}, statistics, x.device());
    if (x.device().is_cuda()) {
      ChannelPieces all = on_device(pieces, dense);
      all.dy = dense_dy.raw();
      all.mean = centre.raw();
      all.first = sum.raw();
      all.second = product.raw();
      channel_cuda({op, dense, dense_dy, centre}, ChannelStep::products, all);
      sum = sum.to(kCpu);
      product = product.to(kCpu);
    } else {
      pieces.for_each([&](int64_t piece) {
        HWY_DYNAMIC_DISPATCH(channel_products_rows)
        ({.dtype = x.dtype(),
          .channels = channels,
          .rows = pieces.rows_of(piece),
          .x = element(dense, pieces.begin(piece)),
          .dy = element(dense_dy, pieces.begin(piece)),
          .mean = element(centre, pieces.sample(piece) * channels),
          .first = element(sum, piece * channels),
          .second = element(product, piece * channels)});
      });
    }
    dispatch_floating(statistics, op, [&](auto type) {
      using A = decltype(type);
      parallel_for(samples, 1, [&](int64_t first, int64_t last) {
        for (int64_t piece = first * pieces.per_sample; piece < last * pieces.per_sample; ++piece) {
          double* to = sums.data() + pieces.sample(piece) * channels;
          double* to_product = products.data() + pieces.sample(piece) * channels;
          for (int64_t c = 0; c < channels; ++c) {
            to[c] += static_cast<double>(sum.data<A>()[piece * channels + c]);
            to_product[c] += static_cast<double>(product.data<A>()[piece * channels + c]);
          }
        }
      });
    });
  }

  NormGradients result;
  std::vector<double> dweight(static_cast<size_t>(channels)), dbias(dweight);
  for (size_t i = 0; i < size; ++i) {
    dweight[i % w.size()] += r[i] * products[i];
    dbias[i % w.size()] += sums[i];
  }
  const bool is_spread = spread.sum && !constant_statistics;
  if (is_spread && wanted.dx) {
    std::vector<double> both = sums;
    both.insert(both.end(), products.begin(), products.end());
    spread.sum(both);
    std::copy_n(both.begin(), size, sums.begin());
    std::copy_n(both.begin() + static_cast<std::ptrdiff_t>(size), size, products.begin());
  }
  std::vector<double> scales(size), slopes(size), offsets(size);
  const size_t width = static_cast<size_t>(channels / groups);
  const double elements = static_cast<double>(is_spread ? spread.positions : pieces.positions) *
                          static_cast<double>(width);
  for (size_t group = 0; group < size; group += width) {
    double mean_g = 0, mean_gx = 0;
    for (size_t i = group; i < group + width; ++i) {
      const size_t c = i % w.size();
      mean_g += w[c] * sums[i] / elements;
      mean_gx += w[c] * r[i] * products[i] / elements;
    }
    for (size_t i = group; i < group + width; ++i) {
      scales[i] = r[i] * w[i % w.size()];
      slopes[i] = -r[i] * r[i] * mean_gx;
      offsets[i] = -r[i] * mean_g;
    }
  }
  if (wanted.dweight) result.dweight = from_values(dweight, {channels}, statistics, x.device());
  if (wanted.dbias) result.dbias = from_values(dbias, {channels}, statistics, x.device());
  if (!wanted.dx) return result;

  const Shape shape{samples, channels};
  const Tensor scale = from_values(scales, shape, statistics, x.device()),
               slope = from_values(slopes, shape, statistics, x.device()),
               offset = from_values(offsets, shape, statistics, x.device());
  result.dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (x.device().is_cuda()) {
    ChannelPieces all = on_device(pieces, dense);
    all.dy = dense_dy.raw();
    all.mean = centre.raw();
    all.scale = scale.raw();
    all.slope = constant_statistics ? nullptr : slope.raw();
    all.offset = offset.raw();
    all.out = result.dx.raw();
    channel_cuda({op, dense, dense_dy, centre}, ChannelStep::backward, all);
    return result;
  }
  pieces.for_each([&](int64_t piece) {
    const int64_t at = pieces.sample(piece) * channels;
    HWY_DYNAMIC_DISPATCH(channel_backward_rows)
    ({.dtype = x.dtype(),
      .channels = channels,
      .rows = pieces.rows_of(piece),
      .x = element(dense, pieces.begin(piece)),
      .dy = element(dense_dy, pieces.begin(piece)),
      .mean = element(centre, at),
      .scale = element(scale, at),
      .slope = constant_statistics ? nullptr : element(slope, at),
      .offset = element(offset, at),
      .out = element(result.dx, pieces.begin(piece))});
  });
  return result;
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
