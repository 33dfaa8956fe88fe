// The names of the elementwise functions.
#pragma once

namespace heed::kernels {

/// The functions of functors-inl.h and activations-inl.h without parameters.
enum class Unary {
  neg,
  exp,
  log,
  sqrt,
  rsqrt,
  square,
  tanh,
  sigmoid,
  relu,
  silu,
  gelu,
  gelu_tanh,
  abs,
  sign,
  sin,
  cos,
  expm1,
  log1p,
  erf,
  relu6,
  hard_sigmoid,
  hard_swish
};

enum class Binary { add, sub, mul, div, maximum, minimum, pow };

/// Softplus(beta, threshold), elu(alpha), leaky_relu(slope), clamp(low, high), pow(exponent).
enum class Parametric { softplus, elu, leaky_relu, clamp, pow };

enum class Compare { eq, ne, lt, le, gt, ge };

enum class Logical { both, either };

}  // namespace heed::kernels
