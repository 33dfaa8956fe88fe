// The nonlinearities that a product can carry as its epilogue.
#pragma once

namespace heed {

enum class Activation {
  none,
  relu,
  gelu,       ///< x Phi(x), by erf
  gelu_tanh,  ///< 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  silu,       ///< x sigmoid(x)
};

}  // namespace heed
