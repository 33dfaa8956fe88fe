// Communicator: what the ranks of a run say to each other. One small interface; a run of one rank
// uses self_communicator(), several ranks get theirs from world() (distributed/world.h).
//
// Collectives are called by every rank of the communicator, in the same order, with equal shapes
// and dtypes, on contiguous tensors. Those that start_ return at once: the tensors belong to the
// operation until wait(). The blocking ones have the same effect.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace heed {

enum class ReduceOp { sum, mean, max, min };

/// An operation under way. Dropping it waits for it; moved from, it is one that is done.
class Work {
 public:
  /// How an implementation does it; destroyed only once it is done.
  struct State {
    virtual ~State() = default;
    /// Whether it is done; does not block.
    virtual bool test() = 0;
    virtual void wait() = 0;
    /// The rank goes on to other things meanwhile.
    virtual void go_on_beside() {}
  };

  /// One that is done.
  Work() = default;
  explicit Work(std::unique_ptr<State> state) { states_.push_back(std::move(state)); }
  Work(Work&& other) noexcept : states_(std::exchange(other.states_, {})) {}
  /// Waits for what it was; where that fails, the other keeps its own.
  Work& operator=(Work&& other);
  ~Work();

  /// Whether it is done; does not block.
  bool done();
  /// Until all of it is done, even where a part fails: then its error is thrown, the first one's.
  void wait();
  /// Its data moves though the rank does other things.
  void go_on_beside();
  /// Makes it wait for the other's operations too.
  void join(Work other);

 private:
  std::vector<std::unique_ptr<State>> states_;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// "self", "mpi", "nccl".
  virtual std::string name() const = 0;

  /// tensor := reduction over ranks of tensor, in place.
  Work start_all_reduce(const Tensor& tensor, ReduceOp op = ReduceOp::sum) {
    return beside(begin_all_reduce(tensor, op));
  }
  void all_reduce(const Tensor& tensor, ReduceOp op = ReduceOp::sum) {
    begin_all_reduce(tensor, op).wait();
  }
  /// out [size * n, ...] := the ranks' tensors [n, ...], in order of rank.
  Work start_all_gather(const Tensor& tensor, const Tensor& out) {
    return beside(begin_all_gather(tensor, out));
  }
  void all_gather(const Tensor& tensor, const Tensor& out) { begin_all_gather(tensor, out).wait(); }
  /// out [n, ...] := this rank's part of the sum over ranks of tensor [size * n, ...].
  Work start_reduce_scatter(const Tensor& tensor, const Tensor& out) {
    return beside(begin_reduce_scatter(tensor, out));
  }
  void reduce_scatter(const Tensor& tensor, const Tensor& out) {
    begin_reduce_scatter(tensor, out).wait();
  }
  /// tensor := the root's tensor.
  Work start_broadcast(const Tensor& tensor, int root = 0) {
    return beside(begin_broadcast(tensor, root));
  }
  void broadcast(const Tensor& tensor, int root = 0) { begin_broadcast(tensor, root).wait(); }
  /// Part r of tensor [size * n, ...] goes to rank r; out [size * n, ...] := the parts received, in
  /// order of rank.
  Work start_all_to_all(const Tensor& tensor, const Tensor& out) {
    return beside(begin_all_to_all(tensor, out));
  }
  void all_to_all(const Tensor& tensor, const Tensor& out) { begin_all_to_all(tensor, out).wait(); }
  /// One message; it meets the receive of that source and tag, in the order of sending. Tags are
  /// 0 ... 1023.
  Work start_send(const Tensor& tensor, int to, int tag = 0) {
    return beside(begin_send(tensor, to, tag));
  }
  void send(const Tensor& tensor, int to, int tag = 0) { begin_send(tensor, to, tag).wait(); }
  Work start_receive(const Tensor& tensor, int from, int tag = 0) {
    return beside(begin_receive(tensor, from, tag));
  }
  void receive(const Tensor& tensor, int from, int tag = 0) {
    begin_receive(tensor, from, tag).wait();
  }
  /// Sends `tensor` to rank + step and receives `out` from rank - step, both round the ring of
  /// ranks.
  Work start_ring_shift(const Tensor& tensor, const Tensor& out, int step = 1, int tag = 0) {
    return beside(begin_ring_shift(tensor, out, step, tag));
  }
  /// Returns once every rank has called it.
  virtual void barrier() = 0;
  /// The ranks that named the same color >= 0, ordered by key and then by rank here; every rank
  /// calls it.
  virtual std::unique_ptr<Communicator> split(int color, int key) = 0;

  /// all_reduce of one number.
  double all_reduce_number(double value, ReduceOp op = ReduceOp::sum);
  /// The texts of all ranks, in order of rank.
  std::vector<std::string> all_gather_text(const std::string& text);

  /// Bytes that this rank had to send since it was made, by the least any algorithm needs: n(size -
  /// 1) / size for a reduce-scatter, all-to-all or all-gather of n bytes in all, twice that for an
  /// all-reduce, n for a message and for the root of a broadcast.
  int64_t bytes_sent() const { return bytes_sent_; }

 protected:
  void count_sent(int64_t bytes) { bytes_sent_ += bytes; }

 private:
  friend class StagedCommunicator;  // hands tensors on to another's begin_...

  // How an implementation does each: under way once the rank waits for it or goes on beside it.
  virtual Work begin_all_reduce(const Tensor& tensor, ReduceOp op) = 0;
  virtual Work begin_all_gather(const Tensor& tensor, const Tensor& out) = 0;
  virtual Work begin_reduce_scatter(const Tensor& tensor, const Tensor& out) = 0;
  virtual Work begin_broadcast(const Tensor& tensor, int root) = 0;
  virtual Work begin_all_to_all(const Tensor& tensor, const Tensor& out) = 0;
  virtual Work begin_send(const Tensor& tensor, int to, int tag) = 0;
  virtual Work begin_receive(const Tensor& tensor, int from, int tag) = 0;
  virtual Work begin_ring_shift(const Tensor& tensor, const Tensor& out, int step, int tag);
  static Work beside(Work work) {
    work.go_on_beside();
    return work;
  }

  int64_t bytes_sent_ = 0;
};

/// The communicator of one rank: every collective is the identity (or a copy), a message to itself
/// waits for its receive.
std::unique_ptr<Communicator> self_communicator();

}  // namespace heed
