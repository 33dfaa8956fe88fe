// A thread an element of a row's state: gates, state and output in one pass between the step's
// products. Rows past their end keep their state.
#include "kernels/cuda/each.h"
#include "kernels/cuda/functors.h"
// after functors.h
#include "kernels/rnn/cell-inl.h"
#include "kernels/rnn/device_rnn.h"

namespace heed::kernels::cuda {
namespace {

template <class T>
__device__ const T* in(const void* p, int64_t at) {
  return static_cast<const T*>(p) + at;
}
template <class T>
__device__ T* out(void* p, int64_t at) {
  return static_cast<T*>(p) + at;
}

template <class T>
__global__ void gru(DeviceCellsForward a, int64_t n) {
  const int64_t width = a.cells.width;
  for_each(n, [&](int64_t at) {
    const int64_t row = at / width, i = at % width, place = a.cells.place(row);
    const T h = *in<T>(a.h, at);
    if (place < 0) {
      *out<T>(a.h_next, at) = h;
      *out<T>(a.out, (row * a.cells.steps + a.cells.t) * width + i) = T(0);
      return;
    }
    const int64_t gate = row * 3 * width + i;
    const T* x = in<T>(a.x, (row * a.cells.steps + place) * 3 * width + i);
    const T* hg = in<T>(a.h_gates, gate);
    const auto s =
        on_device::Gru<T>::step(x[0] + hg[0], x[width] + hg[width], x[2 * width], hg[2 * width]);
    T* gates = out<T>(a.gates, gate);
    gates[0] = s.r, gates[width] = s.z, gates[2 * width] = s.n;
    *out<T>(a.candidate, at) = s.h_n;
    const T next = s.next(h);
    *out<T>(a.h_next, at) = next;
    *out<T>(a.out, (row * a.cells.steps + place) * width + i) = next;
  });
}

template <class T>
__global__ void gru_backward(DeviceCellsBackward a, int64_t n) {
  const int64_t width = a.cells.width;
  for_each(n, [&](int64_t at) {
    const int64_t row = at / width, i = at % width, place = a.cells.place(row);
    const int64_t gate = row * 3 * width + i;
    T* dgates = out<T>(a.dh_gates, gate);
    const int64_t step = place < 0 ? a.cells.t : place;
    T* dx = out<T>(a.dx, (row * a.cells.steps + step) * 3 * width + i);
    if (place < 0) {
      for (int g = 0; g < 3; ++g) dgates[g * width] = dx[g * width] = T(0);
      return;
    }
    const T* gates = in<T>(a.gates, gate);
    const on_device::Gru<T> s = {gates[0], gates[width], gates[2 * width], *in<T>(a.candidate, at)};
    T dh = *out<T>(a.dh, at);
    if (a.dout != nullptr) dh += *in<T>(a.dout, (row * a.cells.steps + place) * width + i);
    const auto d = s.slopes(dh, *in<T>(a.h, at));
    dx[0] = dgates[0] = d.r;
    dx[width] = dgates[width] = d.z;
    dx[2 * width] = d.n;
    dgates[2 * width] = d.n * s.r;
    *out<T>(a.dh, at) = d.h;
  });
}

template <class T>
__global__ void lstm(DeviceCellsForward a, int64_t n) {
  const int64_t width = a.cells.width;
  for_each(n, [&](int64_t at) {
    const int64_t row = at / width, i = at % width, place = a.cells.place(row);
    const T c = *in<T>(a.c, at);
    if (place < 0) {
      *out<T>(a.h_next, at) = *in<T>(a.h, at);
      *out<T>(a.c_next, at) = c;
      *out<T>(a.out, (row * a.cells.steps + a.cells.t) * width + i) = T(0);
      return;
    }
    const int64_t gate = row * 4 * width + i;
    const T* x = in<T>(a.x, (row * a.cells.steps + place) * 4 * width + i);
    const T* hg = in<T>(a.h_gates, gate);
    const auto sum = [&](int g) { return x[g * width] + hg[g * width]; };
    const auto s = on_device::Lstm<T>::step(sum(0), sum(1), sum(2), sum(3), c);
    T* gates = out<T>(a.gates, gate);
    gates[0] = s.i, gates[width] = s.f, gates[2 * width] = s.g, gates[3 * width] = s.o;
    *out<T>(a.candidate, at) = s.squashed;
    *out<T>(a.c_next, at) = s.c;
    const T next = s.next();
    *out<T>(a.h_next, at) = next;
    *out<T>(a.out, (row * a.cells.steps + place) * width + i) = next;
  });
}

template <class T>
__global__ void lstm_backward(DeviceCellsBackward a, int64_t n) {
  const int64_t width = a.cells.width;
  for_each(n, [&](int64_t at) {
    const int64_t row = at / width, i = at % width, place = a.cells.place(row);
    const int64_t gate = row * 4 * width + i;
    T* dgates = out<T>(a.dh_gates, gate);
    const int64_t step = place < 0 ? a.cells.t : place;
    T* dx = out<T>(a.dx, (row * a.cells.steps + step) * 4 * width + i);
    if (place < 0) {
      for (int g = 0; g < 4; ++g) dgates[g * width] = dx[g * width] = T(0);
      return;
    }
    const T* gates = in<T>(a.gates, gate);
    const on_device::Lstm<T> s = {gates[0],         gates[width], gates[2 * width],
                                  gates[3 * width], T(0),         *in<T>(a.candidate, at)};
    T dh = *out<T>(a.dh, at);
    if (a.dout != nullptr) dh += *in<T>(a.dout, (row * a.cells.steps + place) * width + i);
    const auto d = s.slopes(dh, *out<T>(a.dc, at), *in<T>(a.c, at));
    dx[0] = dgates[0] = d.i;
    dx[width] = dgates[width] = d.f;
    dx[2 * width] = dgates[2 * width] = d.g;
    dx[3 * width] = dgates[3 * width] = d.o;
    *out<T>(a.dc, at) = d.c;
    *out<T>(a.dh, at) = T(0);  // all of it goes through the gates
  });
}

template <class Args>
void launch_cells(void (*gru_of)(Args, int64_t), void (*lstm_of)(Args, int64_t), const Args& a) {
  const int64_t n = a.cells.batch * a.cells.width;
  launch_each(a.cells.cell == RnnCell::gru ? gru_of : lstm_of, n, a);
}

void run(const DeviceCellsForward& a) {
  if (a.cells.dtype == DType::f64) return launch_cells(gru<double>, lstm<double>, a);
  launch_cells(gru<float>, lstm<float>, a);
}

void run_backward(const DeviceCellsBackward& a) {
  if (a.cells.dtype == DType::f64) {
    return launch_cells(gru_backward<double>, lstm_backward<double>, a);
  }
  launch_cells(gru_backward<float>, lstm_backward<float>, a);
}

}  // namespace

void provide_rnn() {
  cells_cuda.provide(run);
  cells_backward_cuda.provide(run_backward);
}

}  // namespace heed::kernels::cuda
