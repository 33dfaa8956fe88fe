#include "tools/neighborhood_forms.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace heed::tools {
namespace {

float scale_of(const Tensor& q) { return 1.0f / std::sqrt(static_cast<float>(q.size(2))); }

}  // namespace

NeighborhoodGrid::NeighborhoodGrid(const std::vector<NeighborhoodAxis>& axes) {
  HEED_CHECK(!axes.empty() && axes.size() <= 3, "neighborhood: {} axes", axes.size());
  for (size_t a = axes.size(); a < 3; ++a) axes_.push_back({{.length = 1, .window = 1}, {0}, {1}});
  for (const NeighborhoodAxis& own : axes) {
    HEED_CHECK(own.stride == 1, "neighborhood: unfused forms know no strides");
    Axis axis{own, {}, {}};
    for (int64_t i = 0; i < own.length; ++i) {
      const int64_t d = own.dilation, g = i % d, p = i / d;
      const int64_t group = own.length / d + (g < own.length % d ? 1 : 0);
      const int64_t start = own.causal
                                ? std::max<int64_t>(p - own.window + 1, 0)
                                : std::clamp<int64_t>(p - own.window / 2, 0, group - own.window);
      axis.first.push_back(static_cast<int32_t>(g + d * start));
      axis.count.push_back(static_cast<int32_t>(own.causal ? p + 1 - start : own.window));
    }
    tokens_ *= own.length;
    neighbours_ *= own.window;
    axes_.push_back(std::move(axis));
  }
}

void softmax_backward_rows(const Tensor& dp, const Tensor& p, float scale) {
  const int64_t width = dp.size(-1);
  const auto* weights = p.data<float>();
  each_row(dp, [=](float* row, int64_t r) {
    const float* w = weights + r * width;
    float sum = 0.0f;
    for (int64_t m = 0; m < width; ++m) sum += row[m] * w[m];
    for (int64_t m = 0; m < width; ++m) row[m] = scale * w[m] * (row[m] - sum);
  });
}

Tensor unfused_forward(const NeighborhoodOperators& operators, int64_t neighbours, const Tensor& q,
                       const Tensor& k, const Tensor& v, Tensor* weights) {
  const Tensor a = Tensor::full({q.size(0), q.size(1), neighbours},
                                -std::numeric_limits<double>::infinity(), DType::f32);
  operators.pn(q, k, a);
  const float scale = scale_of(q);
  each_row(a, [scale, width = neighbours](float* row, int64_t) {
    const float largest = *std::max_element(row, row + width);
    float sum = 0.0f;
    for (int64_t m = 0; m < width; ++m) sum += row[m] = std::exp(scale * (row[m] - largest));
    for (int64_t m = 0; m < width; ++m) row[m] /= sum;
  });
  *weights = a;
  return operators.nn(a, v);
}

UnfusedGradients unfused_backward(const NeighborhoodOperators& operators, const Tensor& dout,
                                  const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& weights) {
  UnfusedGradients g;
  g.dv = operators.in(weights, dout);
  const Tensor da = Tensor::zeros(weights.shape(), DType::f32);
  operators.pn(dout, v, da);
  softmax_backward_rows(da, weights, scale_of(q));
  g.dq = operators.nn(da, k);
  g.dk = operators.in(da, q);
  return g;
}

}  // namespace heed::tools
