// Communicator: what the ranks of a run say to each other. One small interface; a run of one rank
// uses self_communicator().
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/tensor.h"

namespace heed {

enum class ReduceOp { sum, mean, max, min };

class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// "self", "mpi", "nccl".
  virtual std::string name() const = 0;

  /// tensor := reduction over ranks of tensor, in place; equal shapes and dtypes everywhere.
  virtual void all_reduce(Tensor& tensor, ReduceOp op = ReduceOp::sum) = 0;
  /// out [size * n, ...] := the ranks' tensors [n, ...], in order of rank.
  virtual void all_gather(const Tensor& tensor, Tensor& out) = 0;
  /// out [n, ...] := this rank's part of the sum over ranks of tensor [size * n, ...].
  virtual void reduce_scatter(const Tensor& tensor, Tensor& out) = 0;
  /// tensor := the root's tensor.
  virtual void broadcast(Tensor& tensor, int root = 0) = 0;
  /// Returns once every rank has called it.
  virtual void barrier() = 0;

  /// all_reduce of one number.
  double all_reduce_number(double value, ReduceOp op = ReduceOp::sum);
};

/// The communicator of one rank: every collective is the identity (or a copy).
std::unique_ptr<Communicator> self_communicator();

}  // namespace heed
