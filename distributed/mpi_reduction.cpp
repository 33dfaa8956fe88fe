#include "distributed/mpi_reduction.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "distributed/combine.h"

namespace heed {
namespace {

/// Bytes of a part from which on messages beat the library's own reductions. Smaller ones are
/// decided by latency.
constexpr int64_t kLeast = int64_t{16} << 10;

}  // namespace

bool MpiReduction::suits(const Tensor& tensor, int ranks) {
  const int64_t part = tensor.numel() / ranks;
  return ranks > 1 && tensor.bytes() / ranks >= kLeast && part < std::numeric_limits<int>::max();
}

MpiReduction::MpiReduction(const char* operation, const Channel& channel, const Tensor& tensor,
                           const Tensor& out, ReduceOp op)
    : operation_(operation), channel_(channel), tensor_(tensor), out_(out), op_(op) {
  begin_exchange();
}

MpiReduction::Range MpiReduction::part(int rank) const {
  const int64_t most = (tensor_.numel() + channel_.size - 1) / channel_.size;
  const int64_t begin = std::min(rank * most, tensor_.numel());
  return {begin, std::min(most, tensor_.numel() - begin)};
}

std::byte* MpiReduction::at(const Tensor& tensor, int64_t element) const {
  return static_cast<std::byte*>(tensor.raw()) +
         element * static_cast<int64_t>(size_of(tensor.dtype()));
}

void MpiReduction::begin_exchange() {
  const int64_t own = part(channel_.rank).count;
  received_ = Tensor::empty({channel_.size - 1, own}, tensor_.dtype());
  for (int r = 0, row = 0; r < channel_.size; ++r) {
    if (r == channel_.rank) continue;
    check_mpi(MPI_Irecv(at(received_, row++ * own), static_cast<int>(own), channel_.type, r,
                        channel_.tag, channel_.comm, &requests_.emplace_back()),
              operation_);
  }
  for (int i = 1; i < channel_.size; ++i) {
    const int to = (channel_.rank + i) % channel_.size;  // not all to the same rank first
    const Range theirs = part(to);
    check_mpi(MPI_Isend(at(tensor_, theirs.begin), static_cast<int>(theirs.count), channel_.type,
                        to, channel_.tag, channel_.comm, &requests_.emplace_back()),
              operation_);
  }
}

void MpiReduction::combine_parts() {
  const Range own = part(channel_.rank);
  std::byte* result = at(tensor_, own.begin);
  if (out_.defined()) {
    result = at(out_, 0);
    std::memcpy(result, at(tensor_, own.begin),
                static_cast<size_t>(own.count) * size_of(tensor_.dtype()));
  }
  const auto row = [&](int64_t i) { return at(received_, i * own.count); };
  const auto into = [&](std::byte* place, int64_t i) {
    combine(op_, tensor_.dtype(), row(i), place, own.count);
  };
  // In order of rank: those before this one, this one (a + b is b + a), those behind it.
  for (int64_t i = 1; i < channel_.rank; ++i) into(row(0), i);
  if (channel_.rank > 0) into(result, 0);
  for (int64_t i = channel_.rank; i < channel_.size - 1; ++i) into(result, i);
  received_ = Tensor();
}

void MpiReduction::begin_hand_round() {
  requests_.clear();
  const Range own = part(channel_.rank);
  for (int r = 0; r < channel_.size; ++r) {
    if (r == channel_.rank) continue;
    const Range theirs = part(r);
    check_mpi(MPI_Irecv(at(tensor_, theirs.begin), static_cast<int>(theirs.count), channel_.type, r,
                        channel_.tag + 1, channel_.comm, &requests_.emplace_back()),
              operation_);
  }
  for (int i = 1; i < channel_.size; ++i) {
    const int to = (channel_.rank + i) % channel_.size;
    check_mpi(MPI_Isend(at(tensor_, own.begin), static_cast<int>(own.count), channel_.type, to,
                        channel_.tag + 1, channel_.comm, &requests_.emplace_back()),
              operation_);
  }
}

bool MpiReduction::all_came() {
  int done = 0;
  check_mpi(
      MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE),
      operation_);
  return done != 0;
}

bool MpiReduction::step() {
  if (stage_ == Stage::exchange && all_came()) {
    combine_parts();
    stage_ = out_.defined() ? Stage::done : Stage::hand_round;
    if (stage_ == Stage::hand_round) begin_hand_round();
  }
  if (stage_ == Stage::hand_round && all_came()) stage_ = Stage::done;
  return stage_ == Stage::done;
}

bool MpiReduction::advance() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return false;  // the other one is at it
  if (error_ != nullptr) std::rethrow_exception(error_);
  try {
    return step();
  } catch (...) {
    error_ = std::current_exception();
    throw;
  }
}

}  // namespace heed
