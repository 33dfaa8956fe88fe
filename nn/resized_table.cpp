#include "nn/resized_table.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/interpolate.h"
#include "autograd/ops/view.h"

namespace heed::nn {

Tensor resized_rows(const Tensor& table, int64_t extra, int64_t height, int64_t width) {
  const NoGrad no_grad;
  const int64_t places = table.rank() < 1 ? 0 : table.size(0) - extra;
  const auto side = std::llround(std::sqrt(static_cast<double>(std::max<int64_t>(0, places))));
  if (places < 1 || side * side != places) return {};
  const Tensor grid = reshape(slice(table, 0, extra, table.size(0)), {1, side, side, -1});
  const Tensor large = interpolate(grid, {height, width}, Interpolation::cubic);
  Shape shape = table.shape();
  shape[0] = height * width;
  const Tensor rows = reshape(large, shape);
  return extra == 0 ? rows : concat({slice(table, 0, 0, extra), rows}, 0);
}

}  // namespace heed::nn
