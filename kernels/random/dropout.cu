// A thread a Philox block: four neighbours of a row.
#include "kernels/cuda/launch.h"
#include "kernels/random/dropout_rows.h"

namespace heed::kernels::cuda {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void dropout(DropoutRows d) {
  using A = accumulate_t<T>;
  const A scale = static_cast<A>(d.scale);
  const int64_t blocks = (d.width + 3) / 4;  // of a row
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < d.rows * blocks; i += step) {
    const int64_t row = i / blocks, block = i % blocks;
    const RandomStream stream(d.key.derive(d.first_row + static_cast<uint64_t>(row)));
    const auto words = stream.block(static_cast<uint64_t>(block));
    for (int64_t k = 0; k < 4 && 4 * block + k < d.width; ++k) {
      const int64_t at = row * d.width + 4 * block + k;
      const A x = static_cast<A>(static_cast<const T*>(d.x)[at]);
      const bool dropped = words[static_cast<size_t>(k)] < d.threshold;
      static_cast<T*>(d.out)[at] = static_cast<T>(dropped ? A(0) : x * scale);
    }
  }
}

void run(const DropoutRows& d) {
  dispatch_floating(d.dtype, [&](auto type) {
    launch(dropout<decltype(type)>, grid_for(ceil_div(d.rows * ceil_div(d.width, 4), kThreads)),
           kThreads, 0, current_stream(), d);
  });
}

}  // namespace

void provide_dropout() { dropout_cuda.provide(run); }

}  // namespace heed::kernels::cuda
