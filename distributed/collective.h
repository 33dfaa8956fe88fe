// The operations of a communicator by name, for benchmarks and tests.
#pragma once

namespace heed {

enum class Collective {
  all_reduce,
  all_gather,
  reduce_scatter,
  broadcast,
  all_to_all,
  ring_shift,
  ping_pong  ///< a message from rank 0 to rank 1 and back, which the others do not see
};

}  // namespace heed
