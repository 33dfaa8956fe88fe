#include "kernels/conv/direct.h"

#include <algorithm>

#include "core/parallel.h"

namespace heed::kernels {
namespace {

int64_t images_worth_a_thread(const ConvPlan& p) {
  return 1 + static_cast<int64_t>(1e6 / (1.0 + p.flops_per_image()));
}

// Calls fn(output pixel, tap, input pixel) for every tap that falls inside the image.
template <class Fn>
void for_each_tap(const ConvPlan& p, Fn&& fn) {
  const auto source = [&](size_t axis, int64_t out, int64_t tap) {
    return out * p.stride[axis] + tap * p.dilation[axis] - p.padding[axis];
  };
  const auto inside = [&](size_t axis, int64_t at) { return at >= 0 && at < p.in[axis]; };
  int64_t out = 0;
  for (int64_t a = 0; a < p.out[0]; ++a) {
    for (int64_t b = 0; b < p.out[1]; ++b) {
      for (int64_t c = 0; c < p.out[2]; ++c, ++out) {
        int64_t tap = 0;
        for (int64_t i = 0; i < p.kernel[0]; ++i) {
          for (int64_t j = 0; j < p.kernel[1]; ++j) {
            for (int64_t k = 0; k < p.kernel[2]; ++k, ++tap) {
              const int64_t x = source(0, a, i), y = source(1, b, j), z = source(2, c, k);
              if (inside(0, x) && inside(1, y) && inside(2, z))
                fn(out, tap, (x * p.in[1] + y) * p.in[2] + z);
            }
          }
        }
      }
    }
  }
}

// Calls fn(output channel, first input channel of its group).
template <class Fn>
void for_each_output_channel(const ConvPlan& p, Fn&& fn) {
  const int64_t per_group = p.out_channels / p.groups, in_per_group = p.in_channels / p.groups;
  for (int64_t o = 0; o < p.out_channels; ++o) fn(o, o / per_group * in_per_group);
}

}  // namespace

void conv_forward_f64(const ConvPlan& p, const double* x, const double* weight, const double* bias,
                      double* y) {
  const int64_t depth = p.in_channels / p.groups;
  parallel_for(p.batch, images_worth_a_thread(p), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const double* image = x + n * p.in_pixels() * p.in_channels;
      double* result = y + n * p.out_pixels() * p.out_channels;
      for (int64_t i = 0; i < p.out_pixels() * p.out_channels; ++i)
        result[i] = bias ? bias[i % p.out_channels] : 0;
      for_each_tap(p, [&](int64_t out, int64_t tap, int64_t in) {
        for_each_output_channel(p, [&](int64_t o, int64_t first) {
          const double* w = weight + (o * p.taps() + tap) * depth;
          const double* pixel = image + in * p.in_channels + first;
          double& sum = result[out * p.out_channels + o];
          for (int64_t c = 0; c < depth; ++c) sum += w[c] * pixel[c];
        });
      });
    }
  });
}

void conv_input_gradient_f64(const ConvPlan& p, const double* dy, const double* weight,
                             double* dx) {
  const int64_t depth = p.in_channels / p.groups;
  parallel_for(p.batch, images_worth_a_thread(p), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      double* image = dx + n * p.in_pixels() * p.in_channels;
      const double* gradient = dy + n * p.out_pixels() * p.out_channels;
      std::fill_n(image, p.in_pixels() * p.in_channels, 0.0);
      for_each_tap(p, [&](int64_t out, int64_t tap, int64_t in) {
        for_each_output_channel(p, [&](int64_t o, int64_t first) {
          const double* w = weight + (o * p.taps() + tap) * depth;
          double* pixel = image + in * p.in_channels + first;
          const double g = gradient[out * p.out_channels + o];
          for (int64_t c = 0; c < depth; ++c) pixel[c] += w[c] * g;
        });
      });
    }
  });
}

void conv_weight_gradient_f64(const ConvPlan& p, const double* dy, const double* x, double* dw) {
  const int64_t depth = p.in_channels / p.groups;
  std::fill_n(dw, p.out_channels * p.taps() * depth, 0.0);
  for (int64_t n = 0; n < p.batch; ++n) {
    const double* image = x + n * p.in_pixels() * p.in_channels;
    const double* gradient = dy + n * p.out_pixels() * p.out_channels;
    for_each_tap(p, [&](int64_t out, int64_t tap, int64_t in) {
      for_each_output_channel(p, [&](int64_t o, int64_t first) {
        double* w = dw + (o * p.taps() + tap) * depth;
        const double* pixel = image + in * p.in_channels + first;
        const double g = gradient[out * p.out_channels + o];
        for (int64_t c = 0; c < depth; ++c) w[c] += pixel[c] * g;
      });
    });
  }
}

}  // namespace heed::kernels
