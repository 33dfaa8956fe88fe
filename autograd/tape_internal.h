// What checkpointing needs of the tape beyond its public face.
#pragma once

#include "autograd/tape.h"

namespace heed::detail {

/// While it lives, notes the leaves that ops of this thread would differentiate by, recording or
/// not. An op over a tensor with a history is an error: `op` names who watches.
class LeafWatch {
 public:
  explicit LeafWatch(const char* op);
  ~LeafWatch();
  LeafWatch(const LeafWatch&) = delete;
  LeafWatch& operator=(const LeafWatch&) = delete;

  /// Each leaf once, in order of first use.
  const std::vector<Tensor>& leaves() const { return leaves_; }
  void note(const Tensor& tensor);

 private:
  const char* op_;
  LeafWatch* previous_;
  std::vector<Tensor> leaves_;
};

/// backward() inside a closure of another backward pass: calls no grad-ready hook, since only the
/// outer pass knows when a leaf is done.
void backward_nested(const std::vector<Tensor>& roots, const std::vector<Tensor>& seeds);

}  // namespace heed::detail
