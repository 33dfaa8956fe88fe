// Sums along rows: a block a piece of a row. Sums down columns: a block 32 columns of a piece, 8
// rows at a time, then those 8 in order. No atomics: the order of every sum is fixed.
#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/cuda/rows.h"
#include "kernels/reduce/device_reductions.h"

namespace heed::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kColumns = 32, kRows = 8;

template <class T>
__global__ void sum_rows(SumPieces s, bool wide) {
  using A = accumulate_t<T>;
  const int64_t pieces = (s.n + s.piece - 1) / s.piece;
  for (int64_t b = blockIdx.x; b < s.outer * pieces; b += gridDim.x) {
    const int64_t first = b % pieces * s.piece;
    const int64_t count = first + s.piece < s.n ? s.piece : s.n - first;
    const T* x = static_cast<const T*>(s.x) + b / pieces * s.n + first;
    A mine = 0;
    for_row<T>(count, wide && count % kLanes<T> == 0, [&](int64_t i, auto width) {
      A v[decltype(width)::value];
      load(x + i, v);
      for (const A value : v) mine += value;
    });
    const A total = block_sum(mine);
    if (threadIdx.x == 0) static_cast<A*>(s.out)[b] = total;
  }
}

template <class T>
__global__ void sum_columns(SumPieces s) {
  using A = accumulate_t<T>;
  struct Tile {
    A sum[kRows][kColumns];
  };
  auto& partial = shared<Tile>().sum;
  const int64_t pieces = (s.n + s.piece - 1) / s.piece;
  const int64_t column_blocks = (s.inner + kColumns - 1) / kColumns;
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  for (int64_t b = blockIdx.x; b < s.outer * pieces * column_blocks; b += gridDim.x) {
    const int64_t c = b % column_blocks * kColumns + x, piece = b / column_blocks;
    const int64_t first = piece % pieces * s.piece;
    const int64_t last = first + s.piece < s.n ? first + s.piece : s.n;
    const T* from = static_cast<const T*>(s.x) + piece / pieces * s.n * s.inner + c;
    A mine = 0;
    if (c < s.inner) {
      for (int64_t r = first + y; r < last; r += kRows) mine += static_cast<A>(from[r * s.inner]);
    }
    partial[y][x] = mine;
    __syncthreads();
    if (y == 0 && c < s.inner) {
      A total = 0;
      for (int r = 0; r < kRows; ++r) total += partial[r][x];
      static_cast<A*>(s.out)[piece * s.inner + c] = total;
    }
    __syncthreads();
  }
}

void sum(const SumPieces& s) {
  dispatch_floating(s.dtype, [&](auto type) {
    using T = decltype(type);
    const int64_t blocks = s.outer * s.pieces();
    if (s.inner == 1) {
      const bool wide = rows_are_wide<T>(s.n, s.x) && s.piece % kLanes<T> == 0;
      launch(sum_rows<T>, row_blocks(blocks), row_threads<T>(std::min(s.n, s.piece)), 0,
             current_stream(), s, wide);
    } else {
      launch(sum_columns<T>, row_blocks(blocks * ceil_div(s.inner, kColumns)),
             dim3(kColumns, kRows), 0, current_stream(), s);
    }
  });
}

template <class T>
struct Extreme {
  T value;
  int64_t index;
};

// Whether b stands before a.
template <class T>
__device__ bool precedes(T b, int64_t at_b, T a, int64_t at_a, bool largest) {
  using A = std::conditional_t<std::is_integral_v<T>, T, accumulate_t<T>>;
  const A x = static_cast<A>(a), y = static_cast<A>(b);
  const bool nan_x = x != x, nan_y = y != y;
  if (nan_x || nan_y) return nan_y && (!nan_x || at_b < at_a);
  if (x == y) return at_b < at_a;
  return largest ? y > x : y < x;
}

// Columns: a thread each. Rows: a warp each, so that long rows are read side by side.
template <class T>
__global__ void extremes(Extremes e) {
  const int64_t threads = int64_t{gridDim.x} * blockDim.x;
  const int64_t thread = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const bool rows = e.inner == 1;
  const int64_t lanes = rows ? kWarp : 1;
  for (int64_t c = thread / lanes; c < e.outer * e.inner; c += threads / lanes) {
    const T* x = static_cast<const T*>(e.x) + c / e.inner * e.n * e.inner + c % e.inner;
    int64_t at = rows ? thread % kWarp : 0;
    if (at >= e.n) at = 0;  // of a short row: one of its elements twice
    T best = x[at * e.inner];
    for (int64_t k = at + lanes; k < e.n; k += lanes) {
      const T value = x[k * e.inner];
      if (precedes(value, k, best, at, e.largest)) {
        best = value;
        at = k;
      }
    }
    if (rows) {
      for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        struct Pair {
          int64_t at;
          alignas(8) T value;
        } other = exchange(Pair{at, best}, distance);
        if (precedes(other.value, other.at, best, at, e.largest)) {
          best = other.value;
          at = other.at;
        }
      }
    }
    if (!rows || thread % kWarp == 0) {
      static_cast<T*>(e.values)[c] = best;
      e.indices[c] = at;
    }
  }
}

template <class T>
void launch_extremes(const Extremes& e) {
  const int64_t threads = e.outer * e.inner * (e.inner == 1 ? kWarp : 1);
  launch(extremes<T>, grid_for(ceil_div(threads, kThreads)), kThreads, 0, current_stream(), e);
}

void find_extremes(const Extremes& e) {
  switch (e.dtype) {
    case DType::f32:
      return launch_extremes<float>(e);
    case DType::bf16:
      return launch_extremes<bfloat16>(e);
    case DType::f16:
      return launch_extremes<float16>(e);
    case DType::f64:
      return launch_extremes<double>(e);
    case DType::i32:
      return launch_extremes<int32_t>(e);
    case DType::i64:
      return launch_extremes<int64_t>(e);
    default:
      return launch_extremes<uint8_t>(e);  // and bool
  }
}

template <class T>
__global__ void scatter_one(ScatterOne s, int64_t columns) {
  for_each(columns, [&](int64_t c) {
    const int64_t at = (c / s.inner * s.n + s.indices[c]) * s.inner + c % s.inner;
    static_cast<T*>(s.out)[at] = static_cast<const T*>(s.values)[c];
  });
}

void scatter(const ScatterOne& s) {
  const auto kernel = s.size == 1   ? scatter_one<uint8_t>
                      : s.size == 2 ? scatter_one<uint16_t>
                      : s.size == 4 ? scatter_one<uint32_t>
                                    : scatter_one<uint64_t>;
  launch_each(kernel, s.outer * s.inner, s);
}

template <class T>
__global__ void logsumexp_rows(LogSumExpRows s, bool wide) {
  using A = accumulate_t<T>;
  for (int64_t row = blockIdx.x; row < s.rows; row += gridDim.x) {
    const T* x = static_cast<const T*>(s.x) + row * s.n;
    if (s.dy == nullptr) {
      ExpSum<A> mine = ExpSum<A>::none();
      for_row<T>(s.n, wide, [&](int64_t i, auto count) {
        A v[decltype(count)::value];
        load(x + i, v);
        for (const A value : v) mine.add(value);
      });
      const ExpSum<A> all = block_exp_sum(mine);
      const bool finite = all.largest - all.largest == A(0);
      if (threadIdx.x == 0) {
        // an infinite largest element is the result, unless there is a NaN
        static_cast<A*>(s.lse)[row] = finite               ? all.largest + on_device::log(all.sum)
                                      : all.sum != all.sum ? all.sum
                                                           : all.largest;
      }
      continue;
    }
    T* dx = static_cast<T*>(s.dx) + row * s.n;
    const A lse = static_cast<const A*>(s.lse)[row];
    const bool nothing = lse == -__builtin_huge_valf();
    const A scale = nothing ? A(0) : static_cast<const A*>(s.dy)[row];
    for_row<T>(s.n, wide, [&](int64_t i, auto count) {
      A v[decltype(count)::value];
      load(x + i, v);
      for (A& value : v) value = on_device::exp(value - (nothing ? A(0) : lse)) * scale;
      store(v, dx + i);
    });
  }
}

void logsumexp(const LogSumExpRows& s) {
  dispatch_floating(s.dtype, [&](auto type) {
    using T = decltype(type);
    const bool wide = rows_are_wide<T>(s.n, s.x, static_cast<const void*>(s.dx));
    launch(logsumexp_rows<T>, row_blocks(s.rows), row_threads<T>(s.n), 0, current_stream(), s,
           wide);
  });
}

}  // namespace

void provide_reduce() {
  sum_cuda.provide(sum);
  extremes_cuda.provide(find_extremes);
  scatter_one_cuda.provide(scatter);
  logsumexp_cuda.provide(logsumexp);
}

}  // namespace heed::kernels::cuda
