// The windows and patches of layout.h. Patches are gathered axis by axis by a separable map, whose
// transpose puts them back.
#include "autograd/ops/layout.h"
#include "autograd/ops/view.h"
#include "autograd/spatial.h"

namespace heed {
namespace {

// Extents of x cut by a window: [B, n0, w0, n1, w1, ..., C].
struct Windows {
  Shape cut;                  // x reshaped
  std::vector<int> together;  // the order that brings the windows' own dimensions together
  std::vector<int> apart;     // its inverse
  int64_t count = 1, tokens = 1;

  Windows(const char* op, int64_t batch, const Shape& spatial, const Shape& window,
          int64_t channels) {
    const int rank = spatial.rank();
    cut.push_back(batch);
    for (int d = 0; d < rank; ++d) {
      HEED_CHECK(window[d] > 0 && spatial[d] % window[d] == 0, "{}: windows of {} in extents of {}",
                 op, window, spatial);
      cut.push_back(spatial[d] / window[d]);
      cut.push_back(window[d]);
      count *= spatial[d] / window[d];
      tokens *= window[d];
    }
    cut.push_back(channels);
    together.push_back(0);
    for (int d = 0; d < rank; ++d) together.push_back(1 + 2 * d);
    for (int d = 0; d < rank; ++d) together.push_back(2 + 2 * d);
    together.push_back(2 * rank + 1);
    apart.resize(together.size());
    for (size_t i = 0; i < together.size(); ++i) {
      apart[static_cast<size_t>(together[i])] = static_cast<int>(i);
    }
  }
  Shape arranged() const {
    Shape shape;
    for (const int d : together) shape.push_back(cut[d]);
    return shape;
  }
};

Shape spatial_of(const Tensor& x) {
  Shape spatial;
  for (int d = 1; d + 1 < x.rank(); ++d) spatial.push_back(x.size(d));
  return spatial;
}

Shape with_spatial(int64_t batch, const Shape& spatial, int64_t channels) {
  Shape shape = spatial;
  shape.insert(0, batch);
  shape.push_back(channels);
  return shape;
}

// Patches along each axis: row (o, k) takes element o stride - padding + k dilation, if there is
// one.
struct Patches {
  std::vector<kernels::AxisMap> axes;
  Shape out, kernel;

  Patches(const char* op, const Shape& in, const PatchOptions& options) {
    const int rank = in.rank();
    kernel = spatial_values(op, "kernel", options.kernel, rank);
    const Shape stride = spatial_values(op, "stride", options.stride, rank);
    const Shape padding = spatial_values(op, "padding", options.padding, rank);
    const Shape dilation = spatial_values(op, "dilation", options.dilation, rank);
    for (int d = 0; d < rank; ++d) {
      const int64_t reach = dilation[d] * (kernel[d] - 1) + 1;
      HEED_CHECK(kernel[d] > 0 && stride[d] > 0 && dilation[d] > 0 && padding[d] >= 0 &&
                     in[d] + 2 * padding[d] >= reach,
                 "{}: kernel {}, stride {}, padding {}, dilation {} in extents of {}", op, kernel,
                 stride, padding, dilation, in);
      out.push_back((in[d] + 2 * padding[d] - reach) / stride[d] + 1);
      kernels::AxisMap axis(in[d]);
      for (int64_t o = 0; o < out[d]; ++o) {
        for (int64_t k = 0; k < kernel[d]; ++k) {
          const int64_t i = o * stride[d] - padding[d] + k * dilation[d];
          if (i >= 0 && i < in[d]) axis.add(i, 1.0);
          axis.end_row();
        }
      }
      axes.push_back(std::move(axis));
    }
  }
  Shape product() const {  // out kernel for each axis
    Shape shape = out;
    for (int d = 0; d < shape.rank(); ++d) shape[d] *= kernel[d];
    return shape;
  }
};

}  // namespace

Tensor window_partition(const Tensor& x, const Shape& window) {
  const char* op = "window_partition";
  const int rank = spatial_rank(op, x);
  const Windows w(op, x.size(0), spatial_of(x), spatial_values(op, "window", window, rank),
                  x.size(-1));
  return reshape(permute(reshape(x, w.cut), w.together),
                 {x.size(0), w.count, w.tokens, x.size(-1)});
}

Tensor window_reverse(const Tensor& windows, const Shape& window, const Shape& spatial) {
  const char* op = "window_reverse";
  HEED_CHECK(windows.rank() == 4 && spatial.rank() >= 1 && spatial.rank() <= 3,
             "{}: windows {}, need [B, windows, tokens, C], of extents {}", op, windows, spatial);
  const int64_t batch = windows.size(0), channels = windows.size(3);
  const Windows w(op, batch, spatial, spatial_values(op, "window", window, spatial.rank()),
                  channels);
  HEED_CHECK(windows.size(1) == w.count && windows.size(2) == w.tokens,
             "{}: {} are not the windows of {} in {}", op, windows, window, spatial);
  return reshape(permute(reshape(windows, w.arranged()), w.apart),
                 with_spatial(batch, spatial, channels));
}

Tensor unfold(const Tensor& x, const PatchOptions& options) {
  spatial_rank("unfold", x);
  const int64_t batch = x.size(0), channels = x.size(-1);
  const Patches p("unfold", spatial_of(x), options);
  const Tensor taken = separable("unfold", x, p.axes);
  const Windows w("unfold", batch, p.product(), p.kernel, channels);
  return reshape(permute(reshape(taken, w.cut), w.together),
                 with_spatial(batch, p.out, w.tokens * channels));
}

Tensor fold(const Tensor& patches, const Shape& spatial, const PatchOptions& options) {
  const int rank = spatial_rank("fold", patches);
  HEED_CHECK(spatial.rank() == rank, "fold: extents {} for patches {}", spatial, patches);
  const Patches p("fold", spatial, options);
  const int64_t batch = patches.size(0), taps = p.kernel.numel();
  HEED_CHECK(spatial_of(patches) == p.out && patches.size(-1) % taps == 0,
             "fold: patches {}, need [B, {}, {} C]", patches, p.out, taps);
  const int64_t channels = patches.size(-1) / taps;
  const Windows w("fold", batch, p.product(), p.kernel, channels);
  const Tensor apart = reshape(permute(reshape(patches, w.arranged()), w.apart),
                               with_spatial(batch, p.product(), channels));
  std::vector<kernels::AxisMap> adjoint;
  for (const kernels::AxisMap& axis : p.axes) adjoint.push_back(axis.transposed());
  return separable("fold", apart, adjoint);
}

}  // namespace heed
