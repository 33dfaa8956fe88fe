// Layout: SIMD functions of one block (pack, convolve, correlate), then the plans that walk them.
#include "kernels/conv/depthwise.h"

#include <algorithm>
#include <vector>

#include "core/parallel.h"
#include "kernels/conv/depthwise_block.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/depthwise.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

constexpr int kPixels = 8;      // results that share the load of a tap's weights
constexpr int kColumnTaps = 8;  // taps of a row that share the load of a result's gradient

using Tag = hn::CappedTag<float, kDepthwiseBlock>;

// Calls fn(first channel, count) for the vectors of a pixel's channels.
template <class Fn>
HWY_INLINE void for_channels(int64_t channels, Fn&& fn) {
  for_vectors<float>(static_cast<size_t>(channels), fn);
}

template <class T>
void pack_image(const DepthwiseBlock& b, const DepthwisePlace& at, const T* image, float* buffer) {
  const Tag d;
  std::fill_n(buffer, b.rows * b.columns * kDepthwiseBlock, 0.0f);
  for (int64_t y = 0; y < at.image_y; ++y) {
    const int64_t row = y * at.step_y + at.first_y;
    if (row < 0 || row >= b.rows) continue;
    for (int64_t x = 0; x < at.image_x; ++x) {
      const int64_t column = x * at.step_x + at.first_x;
      if (column < 0 || column >= b.columns) continue;
      const T* from = image + (y * at.image_x + x) * b.pitch;
      float* to = buffer + (row * b.columns + column) * kDepthwiseBlock;
      for_channels(b.channels, [&](size_t c, auto count) HWY_ATTR {
        hn::StoreU(load_row(d, from + c, count), d, to + c);
      });
    }
  }
}

// Results x0 ... x0 + N - 1 of row y, vector `c` of their channels.
template <int N, class T, class Count>
HWY_INLINE void results(const DepthwiseBlock& b, const float* buffer, const float* weight,
                        const float* bias, int64_t y, int64_t x0, size_t c, Count count, T* out) {
  const Tag d;
  hn::Vec<Tag> sums[N];
  for (int p = 0; p < N; ++p) sums[p] = hn::LoadU(d, bias + c);
  const int64_t step = b.stride_x * kDepthwiseBlock;
  for (int64_t i = 0; i < b.taps_y; ++i) {
    const float* row =
        buffer +
        ((y * b.stride_y + i * b.dilation_y) * b.columns + x0 * b.stride_x) * kDepthwiseBlock + c;
    for (int64_t j = 0; j < b.taps_x; ++j) {
      const auto w = hn::LoadU(d, weight + (i * b.taps_x + j) * kDepthwiseBlock + c);
      const float* from = row + j * b.dilation_x * kDepthwiseBlock;
      for (int p = 0; p < N; ++p) sums[p] = hn::MulAdd(w, hn::LoadU(d, from + p * step), sums[p]);
    }
  }
  T* to = out + (y * b.out_x + x0) * b.pitch + c;
  for (int p = 0; p < N; ++p) store_row(d, sums[p], to + p * b.pitch, count);
}

template <class T>
void convolve(const DepthwiseBlock& b, const float* buffer, const float* weight, const float* bias,
              T* out) {
  for_channels(b.channels, [&](size_t c, auto count) HWY_ATTR {
    for (int64_t y = 0; y < b.out_y; ++y) {
      int64_t x = 0;
      for (; x + kPixels <= b.out_x; x += kPixels) {
        results<kPixels>(b, buffer, weight, bias, y, x, c, count, out);
      }
      if (x + 4 <= b.out_x) {
        results<4>(b, buffer, weight, bias, y, x, c, count, out);
        x += 4;
      }
      for (; x < b.out_x; ++x) results<1>(b, buffer, weight, bias, y, x, c, count, out);
    }
  });
}

// sums[i, j0 + j] += sum over a row of results of dy times what tap (i, j0 + j) saw.
template <int N>
HWY_INLINE void tap_row(const DepthwiseBlock& b, const float* buffer, const float* dy, int64_t y,
                        int64_t i, int64_t j0, size_t c, float* sums) {
  const Tag d;
  hn::Vec<Tag> own[N];
  for (int j = 0; j < N; ++j) own[j] = hn::Zero(d);
  const float* row =
      buffer +
      ((y * b.stride_y + i * b.dilation_y) * b.columns + j0 * b.dilation_x) * kDepthwiseBlock + c;
  const float* gradient = dy + y * b.out_x * kDepthwiseBlock + c;
  const int64_t step = b.stride_x * kDepthwiseBlock, apart = b.dilation_x * kDepthwiseBlock;
  for (int64_t x = 0; x < b.out_x; ++x) {
    const auto g = hn::LoadU(d, gradient + x * kDepthwiseBlock);
    const float* from = row + x * step;
    for (int j = 0; j < N; ++j) own[j] = hn::MulAdd(g, hn::LoadU(d, from + j * apart), own[j]);
  }
  float* to = sums + (i * b.taps_x + j0) * kDepthwiseBlock + c;
  for (int j = 0; j < N; ++j) {
    float* const sum = to + j * kDepthwiseBlock;
    hn::StoreU(hn::Add(own[j], hn::LoadU(d, sum)), d, sum);
  }
}

void correlate(const DepthwiseBlock& b, const float* buffer, const float* dy, float* sums) {
  for_channels(b.channels, [&](size_t c, auto) HWY_ATTR {
    for (int64_t y = 0; y < b.out_y; ++y) {
      for (int64_t i = 0; i < b.taps_y; ++i) {
        for (int64_t j = 0; j < b.taps_x;) {
          const int64_t left = b.taps_x - j;
          if (left >= kColumnTaps) {
            tap_row<kColumnTaps>(b, buffer, dy, y, i, j, c, sums);
            j += kColumnTaps;
          } else if (left == 7) {
            tap_row<7>(b, buffer, dy, y, i, j, c, sums);
            j += 7;
          } else if (left >= 5) {
            tap_row<5>(b, buffer, dy, y, i, j, c, sums);
            j += 5;
          } else if (left >= 3) {
            tap_row<3>(b, buffer, dy, y, i, j, c, sums);
            j += 3;
          } else {
            tap_row<1>(b, buffer, dy, y, i, j, c, sums);
            j += 1;
          }
        }
      }
    }
  });
}

void pack_f32(const DepthwiseBlock& b, const DepthwisePlace& at, const float* image, float* to) {
  pack_image(b, at, image, to);
}
void pack_bf16(const DepthwiseBlock& b, const DepthwisePlace& at, const bfloat16* image,
               float* to) {
  pack_image(b, at, image, to);
}
void convolve_f32(const DepthwiseBlock& b, const float* buffer, const float* weight,
                  const float* bias, float* out) {
  convolve(b, buffer, weight, bias, out);
}
void convolve_bf16(const DepthwiseBlock& b, const float* buffer, const float* weight,
                   const float* bias, bfloat16* out) {
  convolve(b, buffer, weight, bias, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {
namespace {

HWY_EXPORT(pack_f32);
HWY_EXPORT(pack_bf16);
HWY_EXPORT(convolve_f32);
HWY_EXPORT(convolve_bf16);
HWY_EXPORT(correlate);

constexpr int64_t kManyTaps = 5, kFarReach = 12;  // own_depthwise's bounds
constexpr int64_t kMostPartials = 32;      // sums of weight gradients over parts of the batch
constexpr int64_t kLeastPixels = 1 << 16;  // results of a part, a block's channels apart

void pack(const DepthwiseBlock& b, const DepthwisePlace& at, const float* image, float* to) {
  HWY_DYNAMIC_DISPATCH(pack_f32)(b, at, image, to);
}
void pack(const DepthwiseBlock& b, const DepthwisePlace& at, const bfloat16* image, float* to) {
  HWY_DYNAMIC_DISPATCH(pack_bf16)(b, at, image, to);
}
void convolve(const DepthwiseBlock& b, const float* buffer, const float* weight, const float* bias,
              float* out) {
  HWY_DYNAMIC_DISPATCH(convolve_f32)(b, buffer, weight, bias, out);
}
void convolve(const DepthwiseBlock& b, const float* buffer, const float* weight, const float* bias,
              bfloat16* out) {
  HWY_DYNAMIC_DISPATCH(convolve_bf16)(b, buffer, weight, bias, out);
}

int64_t blocks(const ConvPlan& p) {
  return (p.in_channels + kDepthwiseBlock - 1) / kDepthwiseBlock;
}

// The buffer that the forward pass and the weight's gradient read: the image within its padding.
DepthwiseBlock forward_block(const ConvPlan& p) {
  return {.rows = p.in[1] + 2 * p.padding[1],
          .columns = p.in[2] + 2 * p.padding[2],
          .taps_y = p.kernel[1],
          .taps_x = p.kernel[2],
          .stride_y = p.stride[1],
          .stride_x = p.stride[2],
          .dilation_y = p.dilation[1],
          .dilation_x = p.dilation[2],
          .out_y = p.out[1],
          .out_x = p.out[2],
          .channels = kDepthwiseBlock,
          .pitch = p.in_channels};
}

DepthwisePlace forward_place(const ConvPlan& p) {
  return {p.in[1], p.in[2], p.padding[1], p.padding[2], 1, 1};
}

// Weights by tap and channel, [blocks, taps, 16], zeros behind; turned round for a gradient.
std::vector<float> by_block(const ConvPlan& p, const float* weight, bool turned) {
  const int64_t taps = p.taps();
  std::vector<float> packed(static_cast<size_t>(blocks(p) * taps * kDepthwiseBlock), 0.0f);
  for (int64_t c = 0; c < p.in_channels; ++c) {
    float* to = packed.data() + c / kDepthwiseBlock * taps * kDepthwiseBlock + c % kDepthwiseBlock;
    for (int64_t t = 0; t < taps; ++t) {
      to[t * kDepthwiseBlock] = weight[c * taps + (turned ? taps - 1 - t : t)];
    }
  }
  return packed;
}

// Every image's blocks, convolved: in has `in_pixels` a image, out has b.out_y b.out_x.
template <class T>
void convolve_all(const ConvPlan& p, DepthwiseBlock shape, const DepthwisePlace& place, const T* in,
                  const std::vector<float>& weight, const float* bias, T* out) {
  const int64_t count = blocks(p), channels = p.in_channels;
  std::vector<float> offsets(static_cast<size_t>(count * kDepthwiseBlock), 0.0f);
  if (bias != nullptr) std::copy_n(bias, channels, offsets.data());
  parallel_for(p.batch * count, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(shape.rows * shape.columns * kDepthwiseBlock));
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t image = unit / count, block = unit % count, first = block * kDepthwiseBlock;
      DepthwiseBlock own = shape;
      own.channels = std::min(kDepthwiseBlock, channels - first);
      pack(own, place, in + image * place.image_y * place.image_x * channels + first,
           buffer.data());
      convolve(own, buffer.data(), weight.data() + block * p.taps() * kDepthwiseBlock,
               offsets.data() + first, out + image * own.out_y * own.out_x * channels + first);
    }
  });
}

template <class T>
void weight_gradient(const ConvPlan& p, const T* dy, const T* x, float* dw) {
  const DepthwiseBlock shape = forward_block(p);
  const DepthwisePlace plain_place{p.out[1], p.out[2], 0, 0, 1, 1};
  const int64_t count = blocks(p), channels = p.in_channels, taps = p.taps();
  const int64_t least = 1 + kLeastPixels / (1 + p.out_pixels());
  const int64_t images = std::max(least, (p.batch + kMostPartials - 1) / kMostPartials);
  const int64_t parts = (p.batch + images - 1) / images, size = taps * kDepthwiseBlock;
  std::vector<float> partials(static_cast<size_t>(parts * count * size), 0.0f);
  parallel_for(parts * count, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(shape.rows * shape.columns * kDepthwiseBlock));
    std::vector<float> gradient(static_cast<size_t>(p.out_pixels() * kDepthwiseBlock));
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t part = unit / count, first = unit % count * kDepthwiseBlock;
      DepthwiseBlock own = shape;
      own.channels = std::min(kDepthwiseBlock, channels - first);
      DepthwiseBlock flat = own;  // the gradient, without padding
      flat.rows = p.out[1];
      flat.columns = p.out[2];
      for (int64_t b = part * images; b < std::min(p.batch, (part + 1) * images); ++b) {
        pack(own, forward_place(p), x + b * p.in_pixels() * channels + first, buffer.data());
        pack(flat, plain_place, dy + b * p.out_pixels() * channels + first, gradient.data());
        HWY_DYNAMIC_DISPATCH(correlate)
        (own, buffer.data(), gradient.data(), partials.data() + unit * size);
      }
    }
  });
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t t = 0; t < taps; ++t) {
      float sum = 0.0f;
      for (int64_t part = 0; part < parts; ++part) {
        sum += partials[static_cast<size_t>((part * count + c / kDepthwiseBlock) * size +
                                            t * kDepthwiseBlock + c % kDepthwiseBlock)];
      }
      dw[c * taps + t] = sum;
    }
  }
}

}  // namespace

bool own_depthwise(const ConvPlan& p, ConvPass pass) {
  if (!p.depthwise() || p.in[0] != 1 || p.kernel[0] != 1 || p.padding[0] != 0) return false;
  if (pass == ConvPass::weight_gradient) {
    return p.dilated() || std::max(p.kernel[1], p.kernel[2]) >= kManyTaps;
  }
  if (!p.dilated()) return false;
  if (pass == ConvPass::forward) return p.dilation[2] * (p.kernel[2] - 1) > kFarReach;
  for (size_t i = 1; i < 3; ++i) {
    if (p.stride[i] != 1 || p.padding[i] > p.dilation[i] * (p.kernel[i] - 1)) return false;
  }
  return true;
}

void depthwise_forward(const ConvPlan& p, DType dtype, const void* x, const float* weight,
                       const float* bias, void* y) {
  const std::vector<float> packed = by_block(p, weight, false);
  if (dtype == DType::bf16) {
    convolve_all(p, forward_block(p), forward_place(p), static_cast<const bfloat16*>(x), packed,
                 bias, static_cast<bfloat16*>(y));
  } else {
    convolve_all(p, forward_block(p), forward_place(p), static_cast<const float*>(x), packed, bias,
                 static_cast<float*>(y));
  }
}

// A convolution of the gradient with the kernel turned round, whose padding is what is missing to
// dilation (kernel - 1).
void depthwise_input_gradient(const ConvPlan& p, DType dtype, const void* dy, const float* weight,
                              void* dx) {
  const std::vector<float> packed = by_block(p, weight, true);
  DepthwiseBlock b = forward_block(p);
  DepthwisePlace place{p.out[1], p.out[2], 0, 0, p.stride[1], p.stride[2]};
  place.first_y = p.dilation[1] * (p.kernel[1] - 1) - p.padding[1];
  place.first_x = p.dilation[2] * (p.kernel[2] - 1) - p.padding[2];
  b.out_y = p.in[1];
  b.out_x = p.in[2];
  b.rows = p.in[1] + p.dilation[1] * (p.kernel[1] - 1);
  b.columns = p.in[2] + p.dilation[2] * (p.kernel[2] - 1);
  b.stride_y = b.stride_x = 1;
  if (dtype == DType::bf16) {
    convolve_all(p, b, place, static_cast<const bfloat16*>(dy), packed, nullptr,
                 static_cast<bfloat16*>(dx));
  } else {
    convolve_all(p, b, place, static_cast<const float*>(dy), packed, nullptr,
                 static_cast<float*>(dx));
  }
}

void depthwise_weight_gradient(const ConvPlan& p, DType dtype, const void* dy, const void* x,
                               float* dw) {
  if (dtype == DType::bf16) {
    weight_gradient(p, static_cast<const bfloat16*>(dy), static_cast<const bfloat16*>(x), dw);
  } else {
    weight_gradient(p, static_cast<const float*>(dy), static_cast<const float*>(x), dw);
  }
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
