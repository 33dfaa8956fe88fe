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

void run(const DropoutRows& d) {
  const int64_t total = d.rows * ceil_div(d.width, 4);
  dispatch_floating(d.dtype, [&](auto type) { launch_each(dropout<decltype(type)>, total, d); });
}

}  // namespace

void provide_dropout() { dropout_cuda.provide(run); }

}  // namespace heed::kernels::cuda
