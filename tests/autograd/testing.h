// Inputs and checks that the tests of differentiable ops share.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "autograd/gradcheck.h"
#include "core/random.h"
#include "core/views.h"

namespace heed::testing {

/// Uniform values in [low, high), f64, a function of shape and seed.
inline Tensor uniform(const Shape& shape, double low = -2.0, double high = 2.0, uint64_t seed = 1) {
  const RandomStream stream(RandomKey{seed, hash_name(shape.to_string()), 0});
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = low + (high - low) * stream.uniform(i);
  return Tensor::from(values, shape);
}

/// The same, seen through a view with no contiguous dimension: every other element of a transpose.
inline Tensor strided(const Shape& shape, double low = -2.0, double high = 2.0, uint64_t seed = 1) {
  if (shape.rank() == 0) return uniform(shape, low, high, seed);
  Shape memory = shape;
  std::swap(memory[0], memory[-1]);
  memory[0] *= 2;
  return views::transpose(views::slice(uniform(memory, low, high, seed), 0, 0, memory[0], 2), 0,
                          -1);
}

/// Odd shapes: ones, primes, no multiple of a vector's lanes, nothing at all.
inline std::vector<Shape> odd_shapes() {
  return {{}, {1}, {7}, {1, 1}, {3, 5}, {2, 1, 17}, {0, 3}, {2, 3, 1, 5}};
}

template <class Fn>
void expect_gradients(Fn&& fn, const std::vector<Tensor>& inputs,
                      const GradcheckOptions& options = {}) {
  const std::function<Tensor(const std::vector<Tensor>&)> one = fn;
  EXPECT_EQ(gradcheck(one, inputs, options), "");
}

}  // namespace heed::testing
