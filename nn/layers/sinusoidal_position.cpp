#include "nn/layers/sinusoidal_position.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "core/parallel.h"
#include "core/views.h"

namespace heed::nn {

void SinusoidalPositionOptions::options(Options& o) {
  o.field("dim", dim, "features", {.min = 1, .required = true});
  o.field("base", base, "ratio of the longest wavelength to the shortest", {.above = 0});
  o.field("scale", scale,
          "factor of what the positions are added to; sqrt(dim) for embeddings that start small "
          "(Vaswani et al. 2017, section 3.4)",
          {.above = 0});
}

Tensor sinusoidal_table(int64_t count, int64_t dim, double base, DType dtype) {
  Tensor table = Tensor::empty({count, dim}, dtype);
  dispatch_floating(dtype, "sinusoidal_position", [&](auto tag) {
    using T = decltype(tag);
    using Wide = accumulate_t<T>;
    T* data = table.data<T>();
    parallel_for(count, 16, [&](int64_t begin, int64_t end) {
      for (int64_t position = begin; position < end; ++position) {
        for (int64_t i = 0; i < dim; ++i) {
          const double exponent = static_cast<double>(i / 2 * 2) / static_cast<double>(dim);
          const double angle = static_cast<double>(position) / std::pow(base, exponent);
          const double value = i % 2 == 0 ? std::sin(angle) : std::cos(angle);
          data[position * dim + i] = T(static_cast<Wide>(value));
        }
      }
    });
  });
  return table;
}

SinusoidalPositionOptions beside_embedding(int64_t dim) {
  return {.dim = dim, .scale = std::sqrt(static_cast<double>(dim))};
}

SinusoidalPosition::SinusoidalPosition(const SinusoidalPositionOptions& options)
    : dim(options.dim), base(options.base), scale(options.scale) {}

Tensor SinusoidalPosition::forward(const Tensor& x, const Tensor& positions) {
  HEED_CHECK(x.rank() == 3 && x.size(2) == dim, "sinusoidal_position: wants [B, N, {}], got {}",
             dim, x);
  const std::vector<int64_t> ids =
      positions.defined() ? positions.to_vector<int64_t>() : std::vector<int64_t>{};
  const int64_t last = ids.empty() ? x.size(1) : *std::max_element(ids.begin(), ids.end()) + 1;
  if (!table_.defined() || table_.size(0) < last || table_.dtype() != x.dtype() ||
      table_.device() != x.device()) {
    const auto rows = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(last)));
    table_ = sinusoidal_table(rows, dim, base, x.dtype()).to(x.device());
  }
  const int64_t first = last - x.size(1);
  bool in_a_row = true;
  for (size_t i = 0; i < ids.size() && in_a_row; ++i)
    in_a_row = ids[i] == first + static_cast<int64_t>(i);
  const Tensor waves =
      in_a_row ? views::slice(table_, 0, first, last) : embedding(table_, positions, x.dtype());
  return add(scale == 1.0 ? x : mul(x, scale), waves);
}

}  // namespace heed::nn
