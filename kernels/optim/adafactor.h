// Adafactor (Shazeer & Stern 2018): second moments of a matrix kept as row and column means.
#pragma once

#include "core/tensor.h"

namespace heed::kernels {

struct AdafactorUpdate {
  Tensor parameter;   ///< f32, bf16 or f64, row-major
  Tensor gradient;    ///< of the same shape and dtype
  Tensor rows, cols;  ///< two dimensions or more: means of each row [size(0)] and column [rest]
  Tensor moment;      ///< below two dimensions: of the parameter's shape. All f32 (f64 for f64)
  double lr = 1e-2;
  double weight_decay = 0;
};

/// With s = (grad_scale gradient)^2 + 1e-30, b = 1 - t^-0.8 and t counting from 1:
///   rows = b rows + (1 - b) mean of s over a row, cols likewise over a column
///   v = rows cols / mean(rows)            (below two dimensions v = b v + (1 - b) s)
///   u = gradient / sqrt(v), divided by max(1, rms(u))
///   p -= lr weight_decay p + lr max(1e-3, rms(p)) u
/// A tensor of more than two dimensions is the matrix [size(0), rest]. Sums run in f64 over pieces
/// that depend on the shape alone.
void adafactor(const AdafactorUpdate& update, int64_t t, double grad_scale);

}  // namespace heed::kernels
