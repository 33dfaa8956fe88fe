// Lists of tensors cut into chunks, so that one parallel loop covers them all.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/parallel.h"
#include "core/tensor.h"
#include "kernels/optim/chunk.h"

namespace heed::kernels {

/// Chunks in order of tensors and elements: a function of the sizes alone. `tensor_of(i)` is the
/// i-th of `count` tensors.
template <class TensorOf>
std::vector<Chunk> chunks_of(size_t count, const TensorOf& tensor_of) {
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < count; ++i) {
    const int64_t n = tensor_of(i).numel();
    for (int64_t begin = 0; begin < n; begin += kChunkElements) {
      chunks.push_back({i, begin, begin + kChunkElements < n ? begin + kChunkElements : n});
    }
  }
  return chunks;
}

/// fn(chunk, its index) on all threads.
template <class Fn>
void for_each_chunk(const std::vector<Chunk>& chunks, const Fn& fn) {
  parallel_for(static_cast<int64_t>(chunks.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) fn(chunks[static_cast<size_t>(i)], i);
  });
}

}  // namespace heed::kernels
