// What rnn.cu works on: one step of the scan for all rows of a batch, between two products.
#pragma once

#include <cstdint>

#include "core/element.h"
#include "kernels/device_kernel.h"
#include "kernels/rnn/kind.h"

namespace heed::kernels {

/// Step t of a scan over [batch, steps] of width H. Pointers are of the dtype (f32, f64).
struct DeviceCells {
  DType dtype;
  RnnCell cell;
  bool reverse;
  int64_t t, batch, steps, width;
  const int64_t* lengths;  ///< [batch], on the device; null: all steps

  /// The place in the sequence of a row, or -1 past the row's end.
  HEED_HOST_DEVICE int64_t place(int64_t row) const {
    const int64_t length = lengths == nullptr ? steps : lengths[row];
    if (t >= length) return -1;
    return reverse ? length - 1 - t : t;
  }
};

struct DeviceCellsForward {
  DeviceCells cells;
  const void *x, *h_gates;  ///< [batch, steps, G H]; [batch, G H]
  const void *h, *c;        ///< [batch, H] before; c of lstm
  void *gates, *candidate;  ///< [batch, G H], [batch, H] of this step
  void *h_next, *c_next;    ///< [batch, H]
  void* out;                ///< [batch, steps, H]
};
extern DeviceKernel<void(const DeviceCellsForward&)> cells_cuda;

struct DeviceCellsBackward {
  DeviceCells cells;
  const void *gates, *candidate, *h, *c;  ///< as kept; h and c before the step
  const void* dout;                       ///< [batch, steps, H], or null
  void *dh, *dc;                          ///< [batch, H], in and out as CellBackward's (cell.h)
  void* dx;                               ///< [batch, steps, G H]
  void* dh_gates;                         ///< [batch, G H] of this step
};
extern DeviceKernel<void(const DeviceCellsBackward&)> cells_backward_cuda;

}  // namespace heed::kernels
