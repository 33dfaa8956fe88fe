// Tests on an emulated CUDA device: one thread of the host, and no cache, so that every block ends
// at a closed page.
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/parallel.h"

namespace heed::cuda {
void start();  // kernels/cuda/start.cpp
}

int main(int argc, char** argv) {
  setenv("HEED_CACHE", "0", 1);
  ::testing::InitGoogleTest(&argc, argv);
  heed::set_thread_count(1);
  heed::cuda::start();
  return RUN_ALL_TESTS();
}
