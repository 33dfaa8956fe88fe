#include "kernels/index/one_hot.h"

#include "kernels/index/position.h"

namespace heed::kernels {

Tensor one_hot(const Tensor& ids, int64_t classes, DType dtype) {
  // ids are the host's to check: a device's are fetched, and the result is sent back
  if (!ids.device().is_cpu()) return one_hot(ids.to(kCpu), classes, dtype).to(ids.device());
  HEED_CHECK((ids.dtype() == DType::i64 || ids.dtype() == DType::i32) && classes > 0,
             "one_hot: ids {}, need i64 or i32, for {} classes", ids, classes);
  Shape shape = ids.shape();
  shape.push_back(classes);
  const Tensor y = Tensor::zeros(shape, dtype, ids.device());
  const std::vector<int64_t> values = ids.to_vector<int64_t>();
  dispatch_floating(dtype, "one_hot", [&](auto type) {
    using T = decltype(type);
    T* out = y.data<T>();
    for (size_t i = 0; i < values.size(); ++i) {
      HEED_CHECK(values[i] >= 0 && values[i] < classes,
                 "one_hot: id {} at position {} is outside [0, {})", values[i],
                 position_of(static_cast<int64_t>(i), ids.shape()), classes);
      out[static_cast<int64_t>(i) * classes + values[i]] = T(1.0f);
    }
  });
  return y;
}

}  // namespace heed::kernels
