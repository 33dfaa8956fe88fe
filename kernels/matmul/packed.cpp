// c = a b in the manner of Goto and van de Geijn (2008, "Anatomy of high-performance matrix
// multiplication"): k is cut into chunks; of each, b is packed once into panels of kCols columns
// that all threads read; a task packs its block of rows of a into strips of kRows rows and then
// sweeps the panels. The innermost block, kRows x kCols of c, stays in registers for a whole chunk:
// per step of k two loads of b, kRows broadcasts of a and 2 kRows multiply-adds.
//
// Sizes for 32 registers of 16 floats: 28 sums, 2 of b, 1 broadcast. Strips and panels pass through
// the first-level cache; a task's block of a (224 KiB) and a panel (64 KiB) lie in the second, b's
// chunk in the third. A strip is packed when its turn comes, and fetched while the one before it is
// multiplied.
#include "kernels/matmul/packed.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "core/allocator.h"
#include "core/parallel.h"
#include "hwy/cache_control.h"
#include "kernels/matmul/epilogue.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul/packed.cpp"
#include "kernels/simd.h"
#include "kernels/transpose-inl.h"

#ifndef HEED_KERNELS_MATMUL_PACKED_ONCE_
#define HEED_KERNELS_MATMUL_PACKED_ONCE_
namespace heed::kernels::packed {

inline constexpr int kRows = 14;
inline constexpr int kCols = 32;

/// One block of c: rows x cols (at most kRows x kCols) from packed operands of depth k.
struct Block {
  const float* a;  // [k, kRows]
  const float* b;  // [k, kCols]
  int64_t k;
  float* c;
  int64_t ldc;
  int64_t rows, cols;
  bool accumulate;
  const float* bias;  // [cols] or none
  // Rows of a, `next_ld` apart, to bring into the cache meanwhile.
  const float* next;
  int64_t next_ld;
};

/// Rows of a or columns of b, to be packed into strips or panels one after the other.
struct Slices {
  const float* from;
  int64_t ld;
  bool along;  // columns only: neighbours in memory are neighbours in a panel; else they follow k
  int64_t count, depth;
  int64_t available;  // as many could be read: `count` and what follows it
};

}  // namespace heed::kernels::packed
#endif

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::packed::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET <= HWY_AVX3
using F = hn::CappedTag<float, 16>;
using V = hn::Vec<F>;
inline constexpr F kF{};

// to[slice][p][i] = element (slice * kWidth + i, p), rows of kWidth floats. What lies beyond
// `count` is whatever, and so are 2 floats after the last row of strips.
template <int kWidth>
class Packing {
 public:
  Packing(const Slices& slices, float* to) : s_(slices), to_(to) {}

  void run() const {
    const int64_t slices = (s_.count + kWidth - 1) / kWidth;
    const int64_t spare = s_.available - kRead;
    const int64_t fast = spare < 0 ? 0 : std::min(slices, spare / kWidth + 1);
    if constexpr (kWidth % 16 == 0) {
      if (s_.along) deal(fast);
    }
    for (int64_t slice = 0; !s_.along && slice < fast; ++slice) turn(slice);
    for (int64_t slice = fast; slice < slices; ++slice) one_by_one(slice, 0);
  }

 private:
  static constexpr int64_t kRead = (kWidth + 3) / 4 * 4;

  float* at(int64_t slice, int64_t p) const { return to_ + (slice * s_.depth + p) * kWidth; }

  void one_by_one(int64_t slice, int64_t begin) const {
    const int64_t first = slice * kWidth, width = std::min<int64_t>(kWidth, s_.count - first);
    const int64_t step = s_.along ? s_.ld : 1, neighbour = s_.along ? 1 : s_.ld;
    for (int64_t p = begin; p < s_.depth; ++p) {
      for (int64_t i = 0; i < width; ++i)
        at(slice, p)[i] = s_.from[p * step + (first + i) * neighbour];
    }
  }

  // Every step of k is a stretch of memory, dealt out to all slices.
  void deal(int64_t slices) const {
    constexpr int64_t kAhead = 12;  // steps lie too far apart for the hardware's prefetching
    for (int64_t p = 0; p < s_.depth; ++p) {
      const float* from = s_.from + p * s_.ld;
      for (int64_t i = 0; i < slices * kWidth; i += 16) {
        hwy::Prefetch(from + kAhead * s_.ld + i);
        hn::StoreU(hn::LoadU(kF, from + i), kF, at(i / kWidth, p) + i % kWidth);
      }
    }
  }

  // Every element of the slice is a stretch of memory.
  void turn(int64_t slice) const {
    const int64_t whole = s_.depth / 16 * 16;
    const auto ld = static_cast<size_t>(s_.ld), steps = static_cast<size_t>(whole);
    const float* from = s_.from + slice * kWidth * s_.ld;
    float* to = at(slice, 0);
    // The last group of 4 may spill over into the next step, so it comes first.
    constexpr size_t kFirst = kRead - 4;
    simd::HWY_NAMESPACE::transpose<true>(from + kFirst * ld, ld, 4, steps, to + kFirst, kWidth);
    simd::HWY_NAMESPACE::transpose<true>(from, ld, kFirst, steps, to, kWidth);
    one_by_one(slice, whole);
  }

  const Slices& s_;
  float* to_;
};
void pack_rows(const Slices& rows, float* to) { Packing<kRows>(rows, to).run(); }
void pack_columns(const Slices& columns, float* to) { Packing<kCols>(columns, to).run(); }

// Loops over kHeight unroll entirely, so that the sums live in registers alone.
template <int kHeight>
void block_of(const Block& block) {
  V left[kHeight], right[kHeight];
#pragma GCC unroll 16
  for (int r = 0; r < kHeight; ++r) left[r] = right[r] = hn::Zero(kF);
    // c comes from memory while the products run.
#pragma GCC unroll 16
  for (int r = 0; r < kHeight; ++r) {
    hwy::Prefetch(block.c + r * block.ldc);
    hwy::Prefetch(block.c + r * block.ldc + block.cols - 1);
  }
  const float* HWY_RESTRICT a = block.a;
  const float* HWY_RESTRICT b = block.b;
  const float* next = block.next;  // a line of each of 16 rows, then the lines beside them
  for (int64_t p = block.k; p > 0; next += block.next_ld == 0 ? 0 : 16 - 16 * block.next_ld) {
    for (int64_t end = p > 16 ? p - 16 : 0; p > end; --p, next += block.next_ld) {
      const V b_left = hn::Load(kF, b), b_right = hn::Load(kF, b + 16);
      hwy::Prefetch(next);
#pragma GCC unroll 16
      for (int r = 0; r < kHeight; ++r) {
        const V element = hn::Set(kF, a[r]);
        left[r] = hn::MulAdd(element, b_left, left[r]);
        right[r] = hn::MulAdd(element, b_right, right[r]);
      }
      a += kRows;
      b += kCols;
    }
  }
  // Columns beyond block.cols are masked off.
  const auto cols = static_cast<size_t>(block.cols);
  const auto in_left = hn::FirstN(kF, cols), in_right = hn::FirstN(kF, cols > 16 ? cols - 16 : 0);
  V bias_left = hn::Zero(kF), bias_right = hn::Zero(kF);
  if (block.bias != nullptr) {
    bias_left = hn::MaskedLoad(in_left, kF, block.bias);
    bias_right = hn::MaskedLoad(in_right, kF, block.bias + 16);
  }
  float* c = block.c;
#pragma GCC unroll 16
  for (int r = 0; r < kHeight; ++r) {
    V l = hn::Add(left[r], bias_left), h = hn::Add(right[r], bias_right);
    if (block.accumulate) {
      l = hn::Add(hn::MaskedLoad(in_left, kF, c), l);
      h = hn::Add(hn::MaskedLoad(in_right, kF, c + 16), h);
    }
    hn::BlendedStore(l, in_left, kF, c);
    hn::BlendedStore(h, in_right, kF, c + 16);
    c += block.ldc;
  }
}

template <size_t... kHeights>
constexpr auto blocks_of(std::index_sequence<kHeights...>) {
  return std::array<void (*)(const Block&), sizeof...(kHeights)>{
      block_of<static_cast<int>(kHeights) + 1>...};
}

void run_block(const Block& block) {
  static constexpr auto kBlocks = blocks_of(std::make_index_sequence<kRows>());
  kBlocks[static_cast<size_t>(block.rows - 1)](block);
}
bool has_registers() { return true; }
#else
void run_block(const Block&) {}
void pack_rows(const Slices&, float*) {}
void pack_columns(const Slices&, float*) {}
bool has_registers() { return false; }
#endif

}  // namespace heed::kernels::packed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed::kernels {
namespace packed {
HWY_EXPORT(run_block);
HWY_EXPORT(pack_rows);
HWY_EXPORT(pack_columns);
HWY_EXPORT(has_registers);

namespace {

constexpr int64_t kDepth = 512;       // of a chunk of k
constexpr int64_t kStripsAtOnce = 8;  // of a task's block of a
constexpr int64_t kColsAtOnce = 256;  // columns finished before their activation
constexpr int64_t kTasks = 8;         // to aim at

int64_t ceil_div(int64_t n, int64_t by) { return (n + by - 1) / by; }

struct Span {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// How the tasks cut c: blocks of strips by groups of panels, from the sizes alone.
struct Tasks {
  int64_t strips, panels, down, across;

  Tasks(int64_t m, int64_t n)
      : strips(ceil_div(m, kRows)),
        panels(ceil_div(n, kCols)),
        down(ceil_div(strips, kStripsAtOnce)),
        across(1) {
    if (down > 1 && down % 2 == 1) ++down;  // an even count shares evenly between two cores
    while (down * across < kTasks && panels >= 16 * across) across *= 2;
  }
  int64_t count() const { return down * across; }
  Span strips_of(int64_t task) const {
    const int64_t row = task / across;
    return {strips * row / down, strips * (row + 1) / down};
  }
  Span panels_of(int64_t task) const {
    const int64_t col = task % across;
    return {panels * col / across, panels * (col + 1) / across};
  }
};

// One chunk of k.
struct Chunk {
  const PackedProduct& p;
  const Tasks& tasks;
  int64_t first, depth;
  float* b;  // [panels, depth, kCols]

  void pack_panels(int64_t begin, int64_t end) const {
    const int64_t col = begin * kCols;
    HWY_DYNAMIC_DISPATCH(pack_columns)
    ({.from = p.lb.transposed ? p.b + col * p.lb.ld + first : p.b + first * p.lb.ld + col,
      .ld = p.lb.ld,
      .along = !p.lb.transposed,
      .count = std::min(end * kCols, p.n) - col,
      .depth = depth,
      .available = p.n - col},
     b + begin * depth * kCols);
  }

  void run_task(int64_t task) const {
    const Span strips = tasks.strips_of(task), panels = tasks.panels_of(task);
    const int64_t floats = strips.size() * depth * kRows + 2;
    const Storage storage(static_cast<size_t>(floats) * sizeof(float), kCpu);
    auto* a = static_cast<float*>(storage.data);
    constexpr int64_t kPanelsAtOnce = kColsAtOnce / kCols;
    for (int64_t begin = panels.begin; begin < panels.end; begin += kPanelsAtOnce) {
      const Span group{begin, std::min(begin + kPanelsAtOnce, panels.end)};
      for (int64_t panel = group.begin; panel < group.end; ++panel) {
        for (int64_t s = strips.begin; s < strips.end; ++s) {
          float* strip = a + (s - strips.begin) * depth * kRows;
          if (panel == panels.begin) pack_strip(s, strip);
          run_one(s, panel, strip, panel == panels.begin && s + 1 < strips.end);
        }
      }
      activate(strips, group);
    }
  }

 private:
  bool last() const { return first + depth == p.k; }

  const float* rows_at(int64_t row) const { return p.a + row * p.lda + first; }

  void pack_strip(int64_t strip, float* to) const {
    const int64_t row = strip * kRows;
    HWY_DYNAMIC_DISPATCH(pack_rows)
    ({.from = rows_at(row),
      .ld = p.lda,
      .along = false,
      .count = std::min<int64_t>(kRows, p.m - row),
      .depth = depth,
      .available = p.m - row},
     to);
  }

  // fetch_next: meanwhile bring the next strip into the cache.
  void run_one(int64_t strip, int64_t panel, const float* a, bool fetch_next) const {
    const int64_t row = strip * kRows, col = panel * kCols;
    HWY_DYNAMIC_DISPATCH(run_block)
    ({.a = a,
      .b = b + panel * depth * kCols,
      .k = depth,
      .c = p.c + row * p.ldc + col,
      .ldc = p.ldc,
      .rows = std::min<int64_t>(kRows, p.m - row),
      .cols = std::min<int64_t>(kCols, p.n - col),
      .accumulate = p.accumulate || first > 0,
      .bias = last() && p.bias != nullptr ? p.bias + col : nullptr,
      .next = fetch_next ? rows_at(row + kRows) : a,
      .next_ld = fetch_next ? p.lda : 0});
  }

  void activate(Span strips, Span panels) const {
    if (!last() || p.activation == Activation::none) return;
    const int64_t row = strips.begin * kRows, col = panels.begin * kCols;
    activate_tile(p.activation, DType::f32, std::min(strips.end * kRows, p.m) - row,
                  std::min(panels.end * kCols, p.n) - col, p.c + row * p.ldc + col, p.ldc,
                  p.activated + row * p.ld_activated + col, p.ld_activated);
  }
};

}  // namespace
}  // namespace packed

bool packed_pays(int64_t m, int64_t n, int64_t k, MatrixLayout la) {
  constexpr double kLeastFlops = 2e7;
  static const bool registers = HWY_DYNAMIC_DISPATCH(packed::has_registers)();
  return registers && !la.transposed && m >= 64 && n >= 64 && k >= 64 &&
         2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) >=
             kLeastFlops;
}

void packed_product(const PackedProduct& p) {
  using namespace packed;
  const Tasks tasks(p.m, p.n);
  const int64_t chunks = ceil_div(p.k, kDepth), depth = ceil_div(p.k, chunks);
  const Storage storage(static_cast<size_t>(tasks.panels * depth * kCols) * sizeof(float), kCpu);
  for (int64_t first = 0; first < p.k; first += depth) {
    const Chunk chunk{p, tasks, first, std::min(depth, p.k - first),
                      static_cast<float*>(storage.data)};
    parallel_for(tasks.panels, ceil_div(tasks.panels, 16),
                 [&](int64_t begin, int64_t end) { chunk.pack_panels(begin, end); });
    parallel_for(tasks.count(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) chunk.run_task(task);
    });
  }
}

}  // namespace heed::kernels
#endif
