#include "kernels/rnn/cell.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rnn/cell.cpp"
#include "kernels/simd.h"
// after simd.h
#include "kernels/simd_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <class D, class V = hn::Vec<D>>
HWY_INLINE V cell_sigmoid(D d, V x) {
  const V one = hn::Set(d, 1);
  return hn::Div(one, hn::Add(one, row_exp(d, hn::Neg(x))));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V cell_tanh(D d, V x) {
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(float)) {
    return simd::HWY_NAMESPACE::tanh(d, x);
  } else {  // 2 s(2x) - 1
    const V two = hn::Set(d, 2);
    return hn::MulSub(two, cell_sigmoid(d, hn::Mul(two, x)), hn::Set(d, 1));
  }
}

template <class T>
void gru_forward(const CellForward<T>& a) {
  const hn::ScalableTag<T> d;
  const int64_t n = a.n;
  for_vectors<T>(static_cast<size_t>(n), [&](size_t i, auto count) HWY_ATTR {
    const auto at = [&](const T* p) HWY_ATTR { return load_row(d, p + i, count); };
    const auto r = cell_sigmoid(d, hn::Add(at(a.x), at(a.h_gates)));
    const auto z = cell_sigmoid(d, hn::Add(at(a.x + n), at(a.h_gates + n)));
    const auto h_n = at(a.h_gates + 2 * n), h = at(a.h);
    const auto c = cell_tanh(d, hn::MulAdd(r, h_n, at(a.x + 2 * n)));
    const auto next = hn::MulAdd(z, hn::Sub(h, c), c);
    store_row(d, r, a.gates + i, count);
    store_row(d, z, a.gates + n + i, count);
    store_row(d, c, a.gates + 2 * n + i, count);
    store_row(d, h_n, a.candidate + i, count);
    store_row(d, next, a.h_next + i, count);
    store_row(d, next, a.out + i, count);
  });
}

template <class T>
void gru_backward(const CellBackward<T>& a) {
  const hn::ScalableTag<T> d;
  const int64_t n = a.n;
  const auto one = hn::Set(d, T(1));
  for_vectors<T>(static_cast<size_t>(n), [&](size_t i, auto count) HWY_ATTR {
    const auto at = [&](const T* p) HWY_ATTR { return load_row(d, p + i, count); };
    const auto r = at(a.gates), z = at(a.gates + n), c = at(a.gates + 2 * n), h_n = at(a.candidate);
    const auto dh = a.dout ? hn::Add(at(a.dh), at(a.dout)) : at(a.dh);
    const auto dc = hn::Mul(hn::Mul(dh, hn::Sub(one, z)), hn::NegMulAdd(c, c, one));
    const auto dz = hn::Mul(hn::Mul(dh, hn::Sub(at(a.h), c)), hn::Mul(z, hn::Sub(one, z)));
    const auto dr = hn::Mul(hn::Mul(dc, h_n), hn::Mul(r, hn::Sub(one, r)));
    store_row(d, dr, a.dx + i, count);
    store_row(d, dz, a.dx + n + i, count);
    store_row(d, dc, a.dx + 2 * n + i, count);
    store_row(d, dr, a.dh_gates + i, count);
    store_row(d, dz, a.dh_gates + n + i, count);
    store_row(d, hn::Mul(dc, r), a.dh_gates + 2 * n + i, count);
    store_row(d, hn::Mul(dh, z), a.dh + i, count);
  });
}

template <class T>
void lstm_forward(const CellForward<T>& a) {
  const hn::ScalableTag<T> d;
  const int64_t n = a.n;
  for_vectors<T>(static_cast<size_t>(n), [&](size_t k, auto count) HWY_ATTR {
    const auto at = [&](const T* p) HWY_ATTR { return load_row(d, p + k, count); };
    const auto gate = [&](int64_t g)
                          HWY_ATTR { return hn::Add(at(a.x + g * n), at(a.h_gates + g * n)); };
    const auto i = cell_sigmoid(d, gate(0)), f = cell_sigmoid(d, gate(1));
    const auto g = cell_tanh(d, gate(2)), o = cell_sigmoid(d, gate(3));
    const auto c = hn::MulAdd(f, at(a.c), hn::Mul(i, g));
    const auto squashed = cell_tanh(d, c), next = hn::Mul(o, squashed);
    store_row(d, i, a.gates + k, count);
    store_row(d, f, a.gates + n + k, count);
    store_row(d, g, a.gates + 2 * n + k, count);
    store_row(d, o, a.gates + 3 * n + k, count);
    store_row(d, squashed, a.candidate + k, count);
    store_row(d, c, a.c_next + k, count);
    store_row(d, next, a.h_next + k, count);
    store_row(d, next, a.out + k, count);
  });
}

template <class T>
void lstm_backward(const CellBackward<T>& a) {
  const hn::ScalableTag<T> d;
  const int64_t n = a.n;
  const auto one = hn::Set(d, T(1));
  for_vectors<T>(static_cast<size_t>(n), [&](size_t k, auto count) HWY_ATTR {
    const auto at = [&](const T* p) HWY_ATTR { return load_row(d, p + k, count); };
    const auto slope = [&](auto s) HWY_ATTR { return hn::Mul(s, hn::Sub(one, s)); };
    const auto i = at(a.gates), f = at(a.gates + n), g = at(a.gates + 2 * n),
               o = at(a.gates + 3 * n);
    const auto squashed = at(a.candidate);
    const auto dh = a.dout ? hn::Add(at(a.dh), at(a.dout)) : at(a.dh);
    const auto dc = hn::MulAdd(hn::Mul(dh, o), hn::NegMulAdd(squashed, squashed, one), at(a.dc));
    const decltype(dc) parts[] = {hn::Mul(hn::Mul(dc, g), slope(i)),
                                  hn::Mul(hn::Mul(dc, at(a.c)), slope(f)),
                                  hn::Mul(hn::Mul(dc, i), hn::NegMulAdd(g, g, one)),
                                  hn::Mul(hn::Mul(dh, squashed), slope(o))};
    for (int64_t part = 0; part < 4; ++part) {
      store_row(d, parts[part], a.dx + part * n + k, count);
      store_row(d, parts[part], a.dh_gates + part * n + k, count);
    }
    store_row(d, hn::Mul(dc, f), a.dc + k, count);
    store_row(d, hn::Zero(d), a.dh + k, count);
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
