// A thread a Philox block: four neighbours of a row.
#include "kernels/cuda/each.h"
#include "kernels/cuda/provide.h"
#include "kernels/random/dropout_rows.h"

namespace heed::kernels::cuda {
namespace {

template <class T>
__global__ void dropout(DropoutRows d, int64_t total) {
  using A = accumulate_t<T>;
  const A scale = static_cast<A>(d.scale);
  const int64_t blocks = (d.width + 3) / 4;  // of a row
  for_each(total, [&](int64_t i) {
    const int64_t row = i / blocks, block = i % blocks;
    const RandomStream stream(d.key.derive(d.first_row + static_cast<uint64_t>(row)));
    const auto words = stream.block(static_cast<uint64_t>(block));
    for (int64_t k = 0; k < 4 && 4 * block + k < d.width; ++k) {
      const int64_t at = row * d.width + 4 * block + k;
      const A x = static_cast<A>(static_cast<const T*>(d.x)[at]);
      const bool dropped = words[static_cast<size_t>(k)] < d.threshold;
      static_cast<T*>(d.out)[at] = static_cast<T>(dropped ? A(0) : x * scale);
    }
  });
}

// A thread an element, which draws its block for itself.
template <class T>
__global__ void dropout_part(DropoutPart p, int64_t total) {
  using A = accumulate_t<T>;
  const A scale = static_cast<A>(p.of.scale);
  for_each(total, [&](int64_t i) {
    const int64_t row = i / p.of.width, column = i % p.columns, line = i / p.columns % p.middle;
    const int64_t token = i % p.of.width / (p.columns * p.middle);
    const int64_t place = p.at != nullptr ? p.at[token] : token;
    const auto word =
        static_cast<uint64_t>((place * p.middle + line) * p.whole + p.first_column + column);
    const RandomStream stream(p.of.key.derive(p.of.first_row + static_cast<uint64_t>(row)));
    const bool dropped = stream.block(word / 4)[word % 4] < p.of.threshold;
    const A x = static_cast<A>(static_cast<const T*>(p.of.x)[i]);
    static_cast<T*>(p.of.out)[i] = static_cast<T>(dropped ? A(0) : x * scale);
  });
}

void run_part(const DropoutPart& p) {
  dispatch_floating(p.of.dtype, [&](auto type) {
    launch_each(dropout_part<decltype(type)>, p.of.rows * p.of.width, p);
  });
}

void run(const DropoutRows& d) {
  const int64_t total = d.rows * ceil_div(d.width, 4);
  dispatch_floating(d.dtype, [&](auto type) { launch_each(dropout<decltype(type)>, total, d); });
}

}  // namespace

void provide_dropout() {
  dropout_cuda.provide(run);
  dropout_part_cuda.provide(run_part);
}

}  // namespace heed::kernels::cuda
