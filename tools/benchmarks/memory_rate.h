// The rate at which this machine copies memory on all threads: what kernels that are bound by
// memory are compared with. Counted as bytes read plus bytes written.
#pragma once

#include <benchmark/benchmark.h>

#include <cstring>

#include "core/parallel.h"
#include "core/tensor.h"

namespace heed {

inline void copy_memory(benchmark::State& state) {
  const int64_t bytes = state.range(0);
  const Tensor from = Tensor::full({bytes}, 1, DType::u8), to = Tensor::full({bytes}, 1, DType::u8);
  for (auto _ : state) {
    parallel_for(bytes, 256 << 10, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data<uint8_t>() + begin, from.data<uint8_t>() + begin,
                  static_cast<size_t>(end - begin));
    });
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * 2 * bytes);
}

}  // namespace heed
