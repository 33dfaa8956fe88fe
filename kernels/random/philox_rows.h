// Runs of random words, one thread.
#pragma once

#include "core/random.h"

namespace heed::kernels {

/// words[i] = stream.word(first + i) for i in [0, n); `first` is a multiple of 4.
void philox_words(const RandomStream& stream, int64_t first, int64_t n, uint32_t* words);

}  // namespace heed::kernels
