// Recurrent scans: GRU (Cho et al. 2014) and LSTM (Hochreiter & Schmidhuber 1997), in the form with
// two biases:
//
//   GRU   r = s(x_r + h_r)  z = s(x_z + h_z)  n = tanh(x_n + r h_n)        h' = (1 - z) n + z h
//   LSTM  i, f, o = s(x + h)  g = tanh(x_g + h_g)        c' = f c + i g    h' = o tanh(c')
//
// where x_* are the input's gates (computed by one product over all steps beforehand) and h_* = h
// W^T + b. Gates lie in the order r, z, n and i, f, g, o.
//
// On the CPU a block of rows of the batch runs through all steps on one thread, with one small
// product a step: no synchronisation, and results that do not depend on the thread count. A device
// takes the steps of all rows together, with one product and one kernel each.
#pragma once

#include <vector>

#include "core/tensor.h"
#include "kernels/rnn/kind.h"

namespace heed::kernels {

/// 3 or 4.
int64_t gates_of(RnnCell cell);

struct RnnScan {
  RnnCell cell = RnnCell::gru;
  std::vector<int64_t> lengths;  ///< steps of each row; empty: all. Past its length a row's output
                                 ///< is 0 and its state stays as it was
  bool reverse = false;          ///< from a row's last step to its first
};

/// What a scan gives and its gradient needs. f32 or f64; [N, B, ...] is step-major.
struct RnnForward {
  Tensor out;         // [B, N, H]
  Tensor state;       // [B, H], after the last step
  Tensor cell_state;  // [B, H] (lstm)
  Tensor states;      // [N + 1, B, H] before each scan step, and after the last
  Tensor cells;       // [N + 1, B, H] (lstm)
  Tensor gates;       // [N, B, gates * H], after their nonlinearities
  Tensor candidates;  // [N, B, H]: h_n (gru) or tanh(c') (lstm)
};

/// gates_x [B, N, G H] dense, h0 and c0 [B, H] or undefined (zeros), weight [G H, H], bias [G H] or
/// undefined.
RnnForward rnn_scan(const Tensor& gates_x, const Tensor& h0, const Tensor& c0, const Tensor& weight,
                    const Tensor& bias, const RnnScan& scan);

struct RnnGradients {
  Tensor gates_x;  // [B, N, G H]
  Tensor h0, c0;   // [B, H]
  Tensor weight;   // [G H, H]
  Tensor bias;     // [G H]
};

/// dout, dstate, dcell_state may each be undefined (zero).
RnnGradients rnn_scan_backward(const Tensor& dout, const Tensor& dstate, const Tensor& dcell_state,
                               const RnnForward& forward, const Tensor& weight,
                               const RnnScan& scan);

}  // namespace heed::kernels
