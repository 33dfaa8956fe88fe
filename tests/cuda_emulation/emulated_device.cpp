#include "emulation_order.h"
#include "tests/cuda/device_under_test.h"

namespace heed::testing {

int ways_to_run() { return 3; }

void run_in_way(int way, uint64_t seed) {
  using emulation::Order;
  emulation::set_order(way == 0   ? Order::ascending
                       : way == 1 ? Order::descending
                                  : Order::shuffled,
                       seed);
}

std::optional<int64_t> launches() { return emulation::launches(); }

}  // namespace heed::testing
