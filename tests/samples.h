// Small reproducible inputs of tests.
#pragma once

#include "core/random.h"
#include "core/tensor.h"

namespace heed::testing {

/// Standard normal values, a function of the name and the shape.
inline Tensor normal(const Shape& shape, std::string_view name, DType dtype = DType::f64) {
  const RandomStream stream(RandomKey{.seed = 7, .purpose = hash_name(name)});
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(stream.normal(i));
  const Tensor f64 = Tensor::from(values, shape);
  if (dtype == DType::f64) return f64;
  if (dtype == DType::f32) return Tensor::from(f64.to_vector<float>(), shape);
  return Tensor::from(f64.to_vector<bfloat16>(), shape);
}

/// Integers in [0, n), a function of the name and the shape.
inline Tensor integers(const Shape& shape, int64_t n, std::string_view name) {
  const RandomStream stream(RandomKey{.seed = 7, .purpose = hash_name(name)});
  std::vector<int64_t> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<int64_t>(stream.below(i, static_cast<uint64_t>(n)));
  }
  return Tensor::from(values, shape);
}

}  // namespace heed::testing
