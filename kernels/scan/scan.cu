// Scans: a thread a column where neighbouring columns lie side by side (inner >= 32), else a warp a
// column, 32 rows at a time. Running values are f64, as on the CPU; sums of a warp are taken in a
// fixed order.
#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/cuda/reduce.h"
#include "kernels/scan/device_scan.h"

namespace heed::kernels::cuda {
namespace {

constexpr int kThreads = 128;

__device__ inline double lowest() { return -__builtin_huge_val(); }

template <class T>
__device__ T rounded(double value) {
  return static_cast<T>(static_cast<accumulate_t<T>>(value));
}

// An operation has
//   State                the running value
//   load(i, at)          of the i-th row in the order of the scan, which is element `at`
//   combine(a, b)        of what follows each other: associative
//   store(i, at, state)

template <class T>
struct SumOf {
  using State = double;
  DeviceScan s;
  __device__ State load(int64_t, int64_t at) const {
    return static_cast<double>(static_cast<const T*>(s.x)[at]);
  }
  __device__ static State combine(State a, State b) { return a + b; }
  __device__ void store(int64_t, int64_t at, State sum) const {
    static_cast<T*>(s.y)[at] = rounded<T>(sum);
  }
};

struct Largest {
  double value;
  int64_t row;
};

template <class T>
struct MaxOf {
  using State = Largest;
  DeviceScan s;
  __device__ State load(int64_t i, int64_t at) const {
    return {static_cast<double>(static_cast<const T*>(s.x)[at]), s.reverse ? s.n - 1 - i : i};
  }
  __device__ static State combine(const State& a, const State& b) {
    return b.value > a.value || (b.value != b.value && a.value == a.value) ? b : a;
  }
  __device__ void store(int64_t, int64_t at, const State& best) const {
    static_cast<T*>(s.y)[at] = rounded<T>(best.value);
    s.index[at] = best.row;
  }
};

struct Exponentials {
  double largest, sum;  ///< sum e^(x - largest)
};

template <class T>
struct LogSumExpOf {
  using State = Exponentials;
  DeviceScan s;
  __device__ State load(int64_t, int64_t at) const {
    const double x = static_cast<double>(static_cast<const T*>(s.x)[at]);
    return {x, x == lowest() ? 0.0 : 1.0};
  }
  __device__ static State combine(const State& a, const State& b) {
    const bool first = a.largest > b.largest || a.largest != a.largest;  // NaN stays
    const State &more = first ? a : b, &less = first ? b : a;
    const double share = less.largest == more.largest ? 1.0 : ::exp(less.largest - more.largest);
    return {more.largest, more.sum + (less.sum == 0.0 ? 0.0 : less.sum * share)};
  }
  __device__ void store(int64_t, int64_t at, const State& state) const {
    static_cast<T*>(s.y)[at] = rounded<T>(state.largest + ::log(state.sum));
  }
};

// g -> add + factor g
struct Affine {
  double factor, add;
};

// See scan.cpp: g[j] = dy[j] + e^(y[j] - y[j + 1]) g[j + 1], in reverse.
template <class T>
struct LogSumExpGradient {
  using State = Affine;
  DeviceScan s;
  __device__ double result(int64_t at) const {
    return static_cast<double>(static_cast<const T*>(s.result)[at]);
  }
  __device__ State load(int64_t i, int64_t at) const {
    const double here = result(at);
    if (here == lowest()) return {0.0, 0.0};
    return {i == 0 ? 0.0 : ::exp(here - result(at + s.inner)),
            static_cast<double>(static_cast<const T*>(s.dy)[at])};
  }
  __device__ static State combine(const State& a, const State& b) {
    return {a.factor * b.factor, b.factor * a.add + b.add};
  }
  __device__ void store(int64_t, int64_t at, const State& state) const {
    const double here = result(at), x = static_cast<double>(static_cast<const T*>(s.x)[at]);
    static_cast<T*>(s.y)[at] =
        here == lowest() ? static_cast<T>(0.0f) : rounded<T>(state.add * ::exp(x - here));
  }
};

struct Piece {
  double sum;
  int64_t begins;
};

// The share of a row in the mean over those that its window holds.
__device__ inline double share_of(const DeviceMoving& s, int64_t row) {
  return 1.0 / static_cast<double>(row + 1 < s.window ? row + 1 : s.window);
}

// Sums of the pieces of `window` rows up to each row, from either end of the piece (scan.cpp). i
// counts from the end where this scan begins.
template <class T, bool kFromTheLast>
struct PieceSums {
  using State = Piece;
  DeviceMoving s;
  __device__ State load(int64_t i, int64_t at) const {
    const int64_t place = kFromTheLast ? s.n - 1 - i : i;  // in the order of the moving sum
    const bool begins =
        kFromTheLast ? place % s.window == s.window - 1 || i == 0 : place % s.window == 0;
    double x = static_cast<double>(static_cast<const T*>(s.x)[at]);
    if (s.mean && s.adjoint) x *= share_of(s, s.n - 1 - place);
    return {x, begins ? 1 : 0};
  }
  __device__ static State combine(const State& a, const State& b) {
    return b.begins != 0 ? b : State{a.sum + b.sum, a.begins};
  }
  __device__ void store(int64_t, int64_t at, const State& state) const {
    (kFromTheLast ? s.after : s.before)[at] = state.sum;
  }
};

// The element of the i-th row of column c in the order of the scan is first + i step.
struct Column {
  int64_t first, step;
  __device__ Column(int64_t c, int64_t n, int64_t inner, bool reverse)
      : first(c / inner * n * inner + c % inner + (reverse ? (n - 1) * inner : 0)),
        step(reverse ? -inner : inner) {}
};

template <class Op>
__global__ void by_thread(Op op, int64_t columns, int64_t n, int64_t inner, bool reverse) {
  for_each(columns, [&](int64_t c) {
    const Column column(c, n, inner, reverse);
    typename Op::State state = op.load(0, column.first);
    op.store(0, column.first, state);
    for (int64_t i = 1; i < n; ++i) {
      const int64_t at = column.first + i * column.step;
      state = Op::combine(state, op.load(i, at));
      op.store(i, at, state);
    }
  });
}

template <class Op>
__global__ void by_warp(Op op, int64_t columns, int64_t n, int64_t inner, bool reverse) {
  using State = typename Op::State;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t warps = int64_t{gridDim.x} * (blockDim.x / kWarp);
  for (int64_t c = int64_t{blockIdx.x} * (blockDim.x / kWarp) + threadIdx.x / kWarp; c < columns;
       c += warps) {
    const Column column(c, n, inner, reverse);
    State before{};
    for (int64_t start = 0; start < n; start += kWarp) {
      const int64_t i = start + lane, at = column.first + i * column.step;
      // lanes behind the end have nothing that the others need
      State state = i < n ? op.load(i, at) : State{}, group = state;
      for (int distance = 1; distance < kWarp; distance *= 2) {  // groups of 2, 4, ... lanes
        const State other = exchange(group, distance);
        const bool upper = (lane & distance) != 0;
        if (upper) state = Op::combine(other, state);
        group = upper ? Op::combine(other, group) : Op::combine(group, other);
      }
      if (start > 0) {
        state = Op::combine(before, state);
        group = Op::combine(before, group);
      }
      if (i < n) op.store(i, at, state);
      before = group;
    }
  }
}

template <class Op>
void run_scan(const Op& op, int64_t outer, int64_t n, int64_t inner, bool reverse) {
  const int64_t columns = outer * inner;
  if (inner >= kWarp) {
    launch(by_thread<Op>, grid_for(ceil_div(columns, kThreads)), kThreads, 0, current_stream(), op,
           columns, n, inner, reverse);
  } else {
    launch(by_warp<Op>, grid_for(ceil_div(columns, kThreads / kWarp)), kThreads, 0,
           current_stream(), op, columns, n, inner, reverse);
  }
}

void run(const DeviceScan& s) {
  dispatch_floating(s.dtype, [&](auto type) {
    using T = decltype(type);
    const auto start = [&](const auto& op) { run_scan(op, s.outer, s.n, s.inner, s.reverse); };
    switch (s.op) {
      case Scan::sum:
        return start(SumOf<T>{s});
      case Scan::max:
        return start(MaxOf<T>{s});
      case Scan::log_sum_exp:
        return start(LogSumExpOf<T>{s});
      case Scan::log_sum_exp_backward:
        return start(LogSumExpGradient<T>{s});
    }
  });
}

// A window is what its piece has so far, and of the piece before what is not too old.
template <class T>
__global__ void join_pieces(DeviceMoving s, int64_t elements) {
  for_each(elements, [&](int64_t e) {
    const int64_t row = e / s.inner % s.n, place = s.adjoint ? s.n - 1 - row : row;
    const int64_t oldest = place - s.window + 1;
    double sum = s.before[e];
    if (oldest >= 0 && oldest % s.window != 0) {
      sum += s.after[e + (s.adjoint ? s.window - 1 : 1 - s.window) * s.inner];
    }
    if (s.mean && !s.adjoint) sum *= share_of(s, row);
    static_cast<T*>(s.y)[e] = rounded<T>(sum);
  });
}

void run_moving(const DeviceMoving& s) {
  dispatch_floating(s.dtype, [&](auto type) {
    using T = decltype(type);
    run_scan(PieceSums<T, false>{s}, s.outer, s.n, s.inner, s.adjoint);
    run_scan(PieceSums<T, true>{s}, s.outer, s.n, s.inner, !s.adjoint);
    launch_each(join_pieces<T>, s.outer * s.n * s.inner, s);
  });
}

}  // namespace

void provide_scan() {
  scan_cuda.provide(run);
  moving_cuda.provide(run_moving);
}

}  // namespace heed::kernels::cuda
