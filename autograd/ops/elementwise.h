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

/// x with elements zeroed with probability p and the rest scaled by 1/(1-p). Element i of the
/// result depends on (key, i) alone. p in [0, 1).
Tensor dropout(const Tensor& x, double p, const RandomKey& key);

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
