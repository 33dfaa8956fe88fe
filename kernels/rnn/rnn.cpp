#include "kernels/rnn/rnn.h"

#include <algorithm>

#include "core/op_call.h"
#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/device_bytes.h"
#include "kernels/matmul/matmul.h"
#include "kernels/reduce/reduce.h"
#include "kernels/rnn/cell.h"
#include "kernels/rnn/device_rnn.h"

namespace heed::kernels {

DeviceKernel<void(const DeviceCellsForward&)> cells_cuda;
DeviceKernel<void(const DeviceCellsBackward&)> cells_backward_cuda;

namespace {

constexpr int64_t kRowsPerBlock = 16;

struct Sizes {
  int64_t batch, steps, width, gates;
};

Sizes sizes_of(const Tensor& gates_x, const Tensor& weight, const RnnScan& scan) {
  const int64_t gates = gates_of(scan.cell);
  HEED_CHECK(gates_x.rank() == 3 && weight.rank() == 2 &&
                 weight.size(0) == gates * weight.size(1) && gates_x.size(2) == weight.size(0),
             "rnn: gates of the input {} with weight {}; need [B, N, {} H] and [{} H, H]", gates_x,
             weight, gates, gates);
  HEED_CHECK(gates_x.dtype() == weight.dtype() &&
                 (weight.dtype() == DType::f32 || weight.dtype() == DType::f64),
             "rnn: gates of the input {} with weight {}; need both f32 or both f64", gates_x,
             weight);
  const Sizes s{gates_x.size(0), gates_x.size(1), weight.size(1), gates};
  HEED_CHECK(scan.lengths.empty() || static_cast<int64_t>(scan.lengths.size()) == s.batch,
             "rnn: {} lengths for a batch of {}", scan.lengths.size(), s.batch);
  for (int64_t length : scan.lengths) {
    HEED_CHECK(length >= 0 && length <= s.steps, "rnn: a length of {} in a batch of {} steps",
               length, s.steps);
  }
  return s;
}

// The place in the sequence that scan step t of a row is at, or -1 past the row's end.
int64_t place(const RnnScan& scan, const Sizes& s, int64_t row, int64_t t) {
  const int64_t length = scan.lengths.empty() ? s.steps : scan.lengths[static_cast<size_t>(row)];
  if (t >= length) return -1;
  return scan.reverse ? length - 1 - t : t;
}

Tensor initial_states(const Tensor& start, const Sizes& s, DType dtype, Device device) {
  const Tensor states = Tensor::empty({s.steps + 1, s.batch, s.width}, dtype, device);
  const Tensor first = views::select(states, 0, 0);
  if (start.defined()) {
    HEED_CHECK((start.shape() == Shape{s.batch, s.width}),
               "rnn: an initial state of {} for [{}, {}]", start, s.batch, s.width);
    copy(start, first);
  } else {
    fill(first, 0);
  }
  return states;
}

// A row of a step-major tensor.
template <class T>
T* at(const Tensor& x, int64_t step, int64_t row) {
  return x.data<T>() + step * x.stride(0) + row * x.stride(1);
}

template <class T>
void scan_block(const Tensor& x, const Tensor& weight_t, const Tensor& bias, const RnnScan& scan,
                const Sizes& s, const RnnForward& f, int64_t first, int64_t last) {
  const bool lstm = scan.cell == RnnCell::lstm;
  const Tensor h_gates = Tensor::empty({last - first, s.gates * s.width}, x.dtype());
  for (int64_t t = 0; t < s.steps; ++t) {
    const Tensor h = views::slice(views::select(f.states, 0, t), 0, first, last);
    gemm(h, weight_t, h_gates, {.bias = bias});
    for (int64_t row = first; row < last; ++row) {
      const int64_t position = place(scan, s, row, t);
      T* h_next = at<T>(f.states, t + 1, row);
      if (position < 0) {
        std::copy_n(at<T>(f.states, t, row), s.width, h_next);
        if (lstm) std::copy_n(at<T>(f.cells, t, row), s.width, at<T>(f.cells, t + 1, row));
        std::fill_n(at<T>(f.out, row, t), s.width,
                    T(0));  // places past the length are those never visited
        continue;
      }
      cell_forward(scan.cell,
                   CellForward<T>{.n = s.width,
                                  .x = at<T>(x, row, position),
                                  .h_gates = h_gates.data<T>() + (row - first) * s.gates * s.width,
                                  .h = at<T>(f.states, t, row),
                                  .c = lstm ? at<T>(f.cells, t, row) : nullptr,
                                  .gates = at<T>(f.gates, t, row),
                                  .candidate = at<T>(f.candidates, t, row),
                                  .h_next = h_next,
                                  .c_next = lstm ? at<T>(f.cells, t + 1, row) : nullptr,
                                  .out = at<T>(f.out, row, position)});
    }
  }
}

template <class T>
void backward_block(const Tensor& dout, const RnnForward& f, const Tensor& weight,
                    const RnnScan& scan, const Sizes& s, const RnnGradients& g,
                    const Tensor& dh_gates, int64_t first, int64_t last) {
  const bool lstm = scan.cell == RnnCell::lstm;
  const Tensor dh = views::slice(g.h0, 0, first, last);
  for (int64_t t = s.steps - 1; t >= 0; --t) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t position = place(scan, s, row, t);
      T* step_gates = at<T>(dh_gates, t, row);
      if (position < 0) {
        std::fill_n(step_gates, s.gates * s.width, T(0));
        std::fill_n(at<T>(g.gates_x, row, t), s.gates * s.width, T(0));
        continue;
      }
      cell_backward(scan.cell,
                    CellBackward<T>{.n = s.width,
                                    .gates = at<T>(f.gates, t, row),
                                    .candidate = at<T>(f.candidates, t, row),
                                    .h = at<T>(f.states, t, row),
                                    .c = lstm ? at<T>(f.cells, t, row) : nullptr,
                                    .dout = dout.defined() ? at<T>(dout, row, position) : nullptr,
                                    .dh = g.h0.data<T>() + row * s.width,
                                    .dc = lstm ? g.c0.data<T>() + row * s.width : nullptr,
                                    .dx = at<T>(g.gates_x, row, position),
                                    .dh_gates = step_gates});
    }
    // Rows past their end have zero gates: their gradient passes through unchanged.
    gemm(views::slice(views::select(dh_gates, 0, t), 0, first, last), weight, dh,
         {.accumulate = true});
  }
}

Tensor copy_or_zeros(const Tensor& x, const Shape& shape, DType dtype, Device device) {
  const Tensor out = Tensor::zeros(shape, dtype, device);
  if (x.defined()) copy(x, out);
  return out;
}

/// The steps of all rows of a scan on a device.
class DeviceSteps {
 public:
  DeviceSteps(const RnnScan& scan, const Sizes& s, DType dtype, Device device)
      : lengths_(device_bytes(scan.lengths, device)),
        cells_{dtype,   scan.cell, scan.reverse, 0,
               s.batch, s.steps,   s.width,      scan.lengths.empty() ? nullptr : ids()} {}

  DeviceCells at(int64_t t) const {
    DeviceCells cells = cells_;
    cells.t = t;
    return cells;
  }

 private:
  const int64_t* ids() const { return static_cast<const int64_t*>(lengths_.raw()); }

  Tensor lengths_;
  DeviceCells cells_;
};

/// What a step-major tensor has of a step; null of an undefined one.
void* step_of(const Tensor& x, int64_t t) {
  return x.defined() ? views::select(x, 0, t).raw() : nullptr;
}

void scan_on_device(const Tensor& x, const Tensor& weight_t, const Tensor& bias,
                    const RnnScan& scan, const Sizes& s, const RnnForward& f) {
  const DeviceSteps steps(scan, s, x.dtype(), x.device());
  const Tensor h_gates = Tensor::empty({s.batch, s.gates * s.width}, x.dtype(), x.device());
  for (int64_t t = 0; t < s.steps; ++t) {
    gemm(views::select(f.states, 0, t), weight_t, h_gates, {.bias = bias});
    cells_cuda({"rnn", x, f.states}, {.cells = steps.at(t),
                                      .x = x.raw(),
                                      .h_gates = h_gates.raw(),
                                      .h = step_of(f.states, t),
                                      .c = step_of(f.cells, t),
                                      .gates = step_of(f.gates, t),
                                      .candidate = step_of(f.candidates, t),
                                      .h_next = step_of(f.states, t + 1),
                                      .c_next = step_of(f.cells, t + 1),
                                      .out = f.out.raw()});
  }
}

void backward_on_device(const Tensor& dout, const RnnForward& f, const Tensor& weight,
                        const RnnScan& scan, const Sizes& s, const RnnGradients& g,
                        const Tensor& dh_gates) {
  const DeviceSteps steps(scan, s, f.out.dtype(), f.out.device());
  for (int64_t t = s.steps - 1; t >= 0; --t) {
    cells_backward_cuda({"rnn backward", f.out, dout},
                        {.cells = steps.at(t),
                         .gates = step_of(f.gates, t),
                         .candidate = step_of(f.candidates, t),
                         .h = step_of(f.states, t),
                         .c = step_of(f.cells, t),
                         .dout = dout.defined() ? dout.raw() : nullptr,
                         .dh = g.h0.raw(),
                         .dc = g.c0.defined() ? g.c0.raw() : nullptr,
                         .dx = g.gates_x.raw(),
                         .dh_gates = step_of(dh_gates, t)});
    gemm(views::select(dh_gates, 0, t), weight, g.h0, {.accumulate = true});
  }
}

template <class Fn>
void for_each_block(const Sizes& s, Fn&& fn) {
  parallel_for(s.batch, kRowsPerBlock, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kRowsPerBlock)
      fn(first, std::min(first + kRowsPerBlock, end));
  });
}

}  // namespace

int64_t gates_of(RnnCell cell) { return cell == RnnCell::gru ? 3 : 4; }

RnnForward rnn_scan(const Tensor& gates_x, const Tensor& h0, const Tensor& c0, const Tensor& weight,
                    const Tensor& bias, const RnnScan& scan) {
  const Sizes s = sizes_of(gates_x, weight, scan);
  const DType dtype = gates_x.dtype();
  const Device device = gates_x.device();
  const Tensor x = contiguous_as(gates_x, dtype);
  const Tensor w = contiguous(views::transpose(weight, 0, 1));  // read in rows by every step
  RnnForward f;
  f.out = Tensor::empty({s.batch, s.steps, s.width}, dtype, device);
  f.states = initial_states(h0, s, dtype, device);
  if (scan.cell == RnnCell::lstm) f.cells = initial_states(c0, s, dtype, device);
  f.gates = Tensor::empty({s.steps, s.batch, s.gates * s.width}, dtype, device);
  f.candidates = Tensor::empty({s.steps, s.batch, s.width}, dtype, device);
  if (device.is_cuda()) {
    scan_on_device(x, w, bias, scan, s, f);
  } else {
    require_cpu(device, "rnn");
    for_each_block(s, [&](int64_t first, int64_t last) {
      dtype == DType::f64 ? scan_block<double>(x, w, bias, scan, s, f, first, last)
                          : scan_block<float>(x, w, bias, scan, s, f, first, last);
    });
  }
  f.state = contiguous(views::select(f.states, 0, s.steps));
  if (scan.cell == RnnCell::lstm) f.cell_state = contiguous(views::select(f.cells, 0, s.steps));
  return f;
}

RnnGradients rnn_scan_backward(const Tensor& dout, const Tensor& dstate, const Tensor& dcell_state,
                               const RnnForward& f, const Tensor& weight, const RnnScan& scan) {
  const DType dtype = f.out.dtype();
  const Device device = f.out.device();
  const Sizes s{f.out.size(0), f.out.size(1), f.out.size(2), gates_of(scan.cell)};
  const Tensor dense = dout.defined() ? contiguous_as(dout, dtype) : Tensor();
  const Tensor w = contiguous_as(weight, dtype);
  RnnGradients g;
  const Shape state{s.batch, s.width};
  g.gates_x = Tensor::empty({s.batch, s.steps, s.gates * s.width}, dtype, device);
  g.h0 = copy_or_zeros(dstate, state, dtype, device);
  if (scan.cell == RnnCell::lstm) g.c0 = copy_or_zeros(dcell_state, state, dtype, device);
  const Tensor dh_gates = Tensor::empty({s.steps, s.batch, s.gates * s.width}, dtype, device);
  if (device.is_cuda()) {
    backward_on_device(dense, f, w, scan, s, g, dh_gates);
  } else {
    for_each_block(s, [&](int64_t first, int64_t last) {
      dtype == DType::f64 ? backward_block<double>(dense, f, w, scan, s, g, dh_gates, first, last)
                          : backward_block<float>(dense, f, w, scan, s, g, dh_gates, first, last);
    });
  }
  // The weight meets every step's state: one product over all of them.
  const int64_t rows = s.steps * s.batch;
  const Tensor all_gates = views::reshape(dh_gates, {rows, s.gates * s.width});
  const Tensor before = views::reshape(views::slice(f.states, 0, 0, s.steps), {rows, s.width});
  g.weight = Tensor::empty({s.gates * s.width, s.width}, dtype, device);
  gemm(views::transpose(all_gates, 0, 1), before, g.weight);
  g.bias = sum(all_gates, {0}, false);
  return g;
}

}  // namespace heed::kernels
