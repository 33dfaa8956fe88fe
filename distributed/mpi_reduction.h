// Reductions of large tensors, by messages: every rank gets its part of all others' tensors and
// combines them, which is a reduce-scatter; an all-reduce then hands the parts round. Each rank
// sends what the best algorithm must, n (N - 1) / N bytes a step, in two rounds, and the parts are
// combined in order of rank, so that all get the same bits whatever arrives first. OpenMPI's own
// non-blocking reductions take several times as long (`heed bench collectives`).
#pragma once

#include <mpi.h>

#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "distributed/communicator.h"
#include "distributed/mpi_runtime.h"

namespace heed {

class MpiReduction final : public MpiRuntime::Moving {
 public:
  /// What the messages need: the communicator, how it counts an element, a tag of this operation's
  /// own (and the one after it) on all ranks.
  struct Channel {
    MPI_Comm comm;
    MPI_Datatype type;
    int rank, size, tag;
  };

  /// The tensor's reduction in its place (`out` undefined), or this rank's part of it in `out`.
  MpiReduction(const char* operation, const Channel& channel, const Tensor& tensor,
               const Tensor& out, ReduceOp op);

  /// A part has at most as many elements as MPI counts, and is large enough to be worth it.
  static bool suits(const Tensor& tensor, int ranks);

  bool advance() override;

 private:
  enum class Stage { exchange, hand_round, done };

  struct Range {
    int64_t begin, count;  ///< elements
  };
  Range part(int rank) const;
  std::byte* at(const Tensor& tensor, int64_t element) const;
  void begin_exchange();
  void combine_parts();
  void begin_hand_round();
  bool all_came();
  bool step();

  const char* operation_;
  Channel channel_;
  Tensor tensor_, out_;
  ReduceOp op_;
  Tensor received_;  ///< the others' versions of this rank's part, in order of rank
  std::vector<MPI_Request> requests_;
  Stage stage_ = Stage::exchange;
  std::exception_ptr error_;
  std::mutex mutex_;  ///< the waiting rank and the runtime's thread both move it
};

}  // namespace heed
