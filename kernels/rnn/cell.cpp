#include "kernels/rnn/cell.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rnn/cell.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/elementwise/numbers-inl.h"
#include "kernels/rnn/cell-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class T>
void gru_forward(const CellForward<T>& a) {
  using N = Number<T>;
  const int64_t n = a.n;
  for_numbers<T>(n, [&](auto at, auto put) HWY_ATTR {
    const auto s = Gru<N>::step(at(a.x) + at(a.h_gates), at(a.x + n) + at(a.h_gates + n),
                                at(a.x + 2 * n), at(a.h_gates + 2 * n));
    const N next = s.next(at(a.h));
    put(s.r, a.gates);
    put(s.z, a.gates + n);
    put(s.n, a.gates + 2 * n);
    put(s.h_n, a.candidate);
    put(next, a.h_next);
    put(next, a.out);
  });
}

template <class T>
void gru_backward(const CellBackward<T>& a) {
  using N = Number<T>;
  const int64_t n = a.n;
  for_numbers<T>(n, [&](auto at, auto put) HWY_ATTR {
    const Gru<N> s{at(a.gates), at(a.gates + n), at(a.gates + 2 * n), at(a.candidate)};
    const N dh = a.dout ? at(a.dh) + at(a.dout) : at(a.dh);
    const auto d = s.slopes(dh, at(a.h));
    for (T* to : {a.dx, a.dh_gates}) {
      put(d.r, to);
      put(d.z, to + n);
    }
    put(d.n, a.dx + 2 * n);
    put(d.n * s.r, a.dh_gates + 2 * n);
    put(d.h, a.dh);
  });
}

template <class T>
void lstm_forward(const CellForward<T>& a) {
  using N = Number<T>;
  const int64_t n = a.n;
  for_numbers<T>(n, [&](auto at, auto put) HWY_ATTR {
    const auto sum = [&](int64_t g) HWY_ATTR { return at(a.x + g * n) + at(a.h_gates + g * n); };
    const auto s = Lstm<N>::step(sum(0), sum(1), sum(2), sum(3), at(a.c));
    const N next = s.next();
    put(s.i, a.gates);
    put(s.f, a.gates + n);
    put(s.g, a.gates + 2 * n);
    put(s.o, a.gates + 3 * n);
    put(s.squashed, a.candidate);
    put(s.c, a.c_next);
    put(next, a.h_next);
    put(next, a.out);
  });
}

template <class T>
void lstm_backward(const CellBackward<T>& a) {
  using N = Number<T>;
  const int64_t n = a.n;
  for_numbers<T>(n, [&](auto at, auto put) HWY_ATTR {
    const Lstm<N> s{at(a.gates),         at(a.gates + n), at(a.gates + 2 * n),
                    at(a.gates + 3 * n), N(0.0),          at(a.candidate)};
    const N dh = a.dout ? at(a.dh) + at(a.dout) : at(a.dh);
    const auto d = s.slopes(dh, at(a.dc), at(a.c));
    for (T* to : {a.dx, a.dh_gates}) {
      put(d.i, to);
      put(d.f, to + n);
      put(d.g, to + 2 * n);
      put(d.o, to + 3 * n);
    }
    put(d.c, a.dc);
    put(N(0.0), a.dh);  // all of it goes through the gates
  });
}

void forward_f32(RnnCell cell, const CellForward<float>& row) {
  cell == RnnCell::gru ? gru_forward(row) : lstm_forward(row);
}
void forward_f64(RnnCell cell, const CellForward<double>& row) {
  cell == RnnCell::gru ? gru_forward(row) : lstm_forward(row);
}
void backward_f32(RnnCell cell, const CellBackward<float>& row) {
  cell == RnnCell::gru ? gru_backward(row) : lstm_backward(row);
}
void backward_f64(RnnCell cell, const CellBackward<double>& row) {
  cell == RnnCell::gru ? gru_backward(row) : lstm_backward(row);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {

HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_f64);
HWY_EXPORT(backward_f32);
HWY_EXPORT(backward_f64);

void cell_forward(RnnCell cell, const CellForward<float>& row) {
  HWY_DYNAMIC_DISPATCH(forward_f32)(cell, row);
}
void cell_forward(RnnCell cell, const CellForward<double>& row) {
  HWY_DYNAMIC_DISPATCH(forward_f64)(cell, row);
}
void cell_backward(RnnCell cell, const CellBackward<float>& row) {
  HWY_DYNAMIC_DISPATCH(backward_f32)(cell, row);
}
void cell_backward(RnnCell cell, const CellBackward<double>& row) {
  HWY_DYNAMIC_DISPATCH(backward_f64)(cell, row);
}

}  // namespace heed::kernels
#endif  // HWY_ONCE
