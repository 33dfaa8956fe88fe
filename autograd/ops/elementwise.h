// Differentiable elementwise ops. Binary ones broadcast (NumPy's rule); operands of different
// floating dtypes give the wider of the two, except that a 0-dimensional operand never widens.
#pragma once

#include "autograd/tape.h"
#include "core/random.h"

namespace heed {

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor add(const Tensor& x, double scalar);
Tensor mul(const Tensor& x, double scalar);

Tensor neg(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor square(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor relu(const Tensor& x);
/// |x|; its slope at 0 is 0.
Tensor abs(const Tensor& x);
/// -1, 0 or 1; no gradient.
Tensor sign(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
/// e^x - 1 and log(1 + x), exact near 0.
Tensor expm1(const Tensor& x);
Tensor log1p(const Tensor& x);
/// 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
Tensor erf(const Tensor& x);
/// x^exponent, as std::pow: NaN for a negative x under a fractional exponent. An exponent of 0 has
/// no gradient.
Tensor pow(const Tensor& x, double exponent);
/// a^b, broadcast. The gradient of b is 0 where a = 0.
Tensor pow(const Tensor& a, const Tensor& b);

/// The larger (smaller) of a and b, broadcast; NaN where either is. Where they are equal the
/// gradient goes to a, whole.
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
/// min(max(x, low), high), with infinities for no bound; the gradient passes at the bounds. Throws
/// unless low <= high.
Tensor clamp(const Tensor& x, double low, double high);

/// min(max(x, 0), 6).
Tensor relu6(const Tensor& x);
/// x where positive, else slope * x.
Tensor leaky_relu(const Tensor& x, double slope = 0.01);
/// x where positive, else alpha (e^x - 1) (Clevert et al., arXiv 1511.07289).
Tensor elu(const Tensor& x, double alpha = 1.0);
/// log(1 + e^(beta x)) / beta; x itself where beta x > threshold. beta must be positive.
Tensor softplus(const Tensor& x, double beta = 1.0, double threshold = 20.0);
/// min(max(x + 3, 0), 6) / 6, and x times that (MobileNet v3, arXiv 1905.02244).
Tensor hard_sigmoid(const Tensor& x);
Tensor hard_swish(const Tensor& x);
/// x * sigmoid(x)
Tensor silu(const Tensor& x);
/// x * Phi(x), exactly by erf (Hendrycks & Gimpel 2016).
Tensor gelu(const Tensor& x);
/// The tanh form: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
Tensor gelu_tanh(const Tensor& x);
/// silu(gate) * up in one pass (SwiGLU, Shazeer 2020); equal shapes.
Tensor swiglu(const Tensor& gate, const Tensor& up);
/// The same from one tensor [..., 2F] holding gate then up: [..., F].
Tensor swiglu_packed(const Tensor& gate_up);

/// Another floating dtype; the gradient is cast back. x itself when it has that dtype.
Tensor cast(const Tensor& x, DType dtype);

/// The same values on another device, row-major; the gradient is brought back. x itself when it is
/// there.
Tensor to(const Tensor& x, Device device);

/// x with elements zeroed with probability p and the rest scaled by 1/(1-p). Element i of row b (of
/// the first dimension) depends on (key, place.first_row + b, i) alone; see DrawPlace for parts of
/// a larger tensor. p in [0, 1).
Tensor dropout(const Tensor& x, double p, const RandomKey& key, const DrawPlace& place = {});

/// Identity whose gradient is zero: the value without its history.
Tensor stop_gradient(const Tensor& x);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& x, double s) { return add(x, s); }
inline Tensor operator-(const Tensor& x, double s) { return add(x, -s); }
inline Tensor operator*(const Tensor& x, double s) { return mul(x, s); }
inline Tensor operator*(double s, const Tensor& x) { return mul(x, s); }
inline Tensor operator/(const Tensor& x, double s) { return mul(x, 1.0 / s); }
inline Tensor operator-(const Tensor& x) { return neg(x); }

}  // namespace heed
