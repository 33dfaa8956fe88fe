// Runs a suite on every rank at once. Rank 0 prints; what failed on another rank is printed there
// and fails the run everywhere.
#include <gtest/gtest.h>

#include "distributed/world.h"

#ifdef HEED_EMULATED_DEVICE
namespace heed::cuda {
void start();  // kernels/cuda/start.cpp
}
#endif

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  heed::set_watchdog(120.0);
#ifdef HEED_EMULATED_DEVICE
  heed::cuda::start();
#endif
  heed::Communicator& ranks = heed::world();
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  if (ranks.rank() != 0) {
    struct Failures : testing::EmptyTestEventListener {
      void OnTestPartResult(const testing::TestPartResult& result) override {
        if (!result.failed()) return;
        fmt::print(stderr, "rank {}: {}:{}: {}\n", heed::launch().rank,
                   result.file_name() == nullptr ? "?" : result.file_name(), result.line_number(),
                   result.message());
      }
    };
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new Failures);
  }
  const int status = RUN_ALL_TESTS();
  const bool none_ran = testing::UnitTest::GetInstance()->test_to_run_count() == 0;
  return ranks.all_reduce_number(status != 0 || none_ran, heed::ReduceOp::max) == 0 ? 0 : 1;
}
