#include "kernels/strided.h"

#include <algorithm>

namespace heed::kernels {

Shape broadcast_strides(const Tensor& x, const Shape& shape, const char* op) {
  const int shift = shape.rank() - x.rank();
  HEED_CHECK(shift >= 0, "{}: {} does not broadcast to {}", op, x, shape);
  Shape strides = shape;
  for (int i = 0; i < shape.rank(); ++i) {
    const bool repeated = i < shift || (x.shape()[i - shift] == 1 && shape[i] != 1);
    HEED_CHECK(repeated || x.shape()[i - shift] == shape[i], "{}: {} does not broadcast to {}", op,
               x, shape);
    strides[i] = repeated ? 0 : x.strides()[i - shift];
  }
  return strides;
}

StridedLoop::StridedLoop(const Shape& shape, std::span<const Shape> strides)
    : operands_(static_cast<int>(strides.size())), numel_(shape.numel()) {
  HEED_CHECK(strides.size() <= kMaxOperands, "a loop over {} operands", strides.size());
  for (int d = 0; d < shape.rank(); ++d) {
    if (shape[d] == 1) continue;
    const bool merges =
        extents_.rank() > 0 && std::all_of(strides.begin(), strides.end(), [&](const Shape& s) {
          return strides_[static_cast<size_t>(&s - strides.data())][-1] == s[d] * shape[d];
        });
    if (!merges) extents_.push_back(1);
    extents_[-1] *= shape[d];
    for (size_t k = 0; k < strides.size(); ++k) {
      if (!merges) strides_[k].push_back(0);
      strides_[k][-1] = strides[k][d];
    }
  }
  if (extents_.rank() == 0) {
    extents_.push_back(1);
    for (size_t k = 0; k < strides.size(); ++k) strides_[k].push_back(1);
  }
}

StridedPlan StridedLoop::plan() const {
  static_assert(StridedPlan::kMaxDims >= kMaxRank);
  StridedPlan plan;
  plan.numel = numel_;
  plan.dims = extents_.rank();
  for (int d = 0; d < plan.dims; ++d) {
    plan.extents[d] = extents_[d];
    for (int k = 0; k < operands_; ++k) plan.strides[k][d] = strides(k)[d];
  }
  return plan;
}

}  // namespace heed::kernels
