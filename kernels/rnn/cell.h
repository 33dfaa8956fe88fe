// One step of a recurrent cell for one row, by SIMD.
#pragma once

#include "kernels/rnn/rnn.h"

namespace heed::kernels {

/// Pointers of one row at one step; T is float or double, n the width H.
template <class T>
struct CellForward {
  int64_t n;
  const T *x, *h_gates;      // [G n] gates of input and of state
  const T *h, *c;            // [n] state before
  T *gates, *candidate;      // [G n], [n] kept for the gradient
  T *h_next, *c_next, *out;  // [n]
};

template <class T>
struct CellBackward {
  int64_t n;
  const T *gates, *candidate, *h, *c;  // as kept; h and c before the step
  const T* dout;                       // [n] or null
  T *dh, *dc;        // [n] in: gradient of the state after; out: the part of that before which does
                     // not go through the product
  T *dx, *dh_gates;  // [G n]
};

void cell_forward(RnnCell cell, const CellForward<float>& row);
void cell_forward(RnnCell cell, const CellForward<double>& row);
void cell_backward(RnnCell cell, const CellBackward<float>& row);
void cell_backward(RnnCell cell, const CellBackward<double>& row);

}  // namespace heed::kernels
