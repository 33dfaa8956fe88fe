// Tests on a CUDA device. Where there is none the program says so and exits with 77, which ctest
// shows as skipped.
#include <gtest/gtest.h>

#include <cstdio>

#include "core/device_runtime.h"
#include "core/error.h"
#include "tests/cuda/device_under_test.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (::testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
  try {
    heed::device_runtime(heed::testing::kDevice, "test_cuda");
  } catch (const heed::Error& error) {
    std::fprintf(stderr, "skipped: no CUDA device: %s\n", error.what());
    return 77;
  }
  return RUN_ALL_TESTS();
}
