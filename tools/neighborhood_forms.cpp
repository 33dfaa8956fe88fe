#include "tools/neighborhood_forms.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/parallel.h"

namespace heed::tools {
namespace {

/// Calls row(A's row, another's) for every query.
template <class Row>
void each_row(const Tensor& a, const Tensor& b, const Row& row) {
  const int64_t width = a.size(2), rows = a.size(0) * a.size(1);
  auto *x = a.data<float>(), *y = b.data<float>();
  parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) row(x + r * width, y + r * width, width);
  });
}

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

Tensor unfused_forward(const NeighborhoodOperators& operators, int64_t neighbours, const Tensor& q,
                       const Tensor& k, const Tensor& v, Tensor* weights) {
  const Tensor a = Tensor::full({q.size(0), q.size(1), neighbours},
                                -std::numeric_limits<double>::infinity(), DType::f32);
  operators.pn(q, k, a);
  const float scale = scale_of(q);
  each_row(a, a, [scale](float* row, const float*, int64_t width) {
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
  const float scale = scale_of(q);
  each_row(da, weights, [scale](float* row, const float* p, int64_t width) {
    float sum = 0.0f;
    for (int64_t m = 0; m < width; ++m) sum += row[m] * p[m];
    for (int64_t m = 0; m < width; ++m) row[m] = scale * p[m] * (row[m] - sum);
  });
  g.dq = operators.nn(da, k);
  g.dk = operators.in(da, q);
  return g;
}

}  // namespace heed::tools
