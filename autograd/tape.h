// The tape: an eager record of differentiable ops, and the walk back over it.
//
// An op computes its result with kernels, then calls record() with a closure that maps the gradient
// of the result to the gradients of the inputs:
//
//   Tensor softmax(const Tensor& x, int dim) {
//     Tensor y = kernels::softmax(x, dim);
//     return record("softmax", {x}, y, [y = save(y), dim](const Tensor& dy) {
//       return Gradients{kernels::softmax_backward(dy, *y, dim)};
//     });
//   }
//
// A closure keeps tensors with save(), never bare: save() drops the autograd state (no reference
// cycle) and remembers the version, so that a tensor changed in place since then is an error naming
// the op.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "core/tensor.h"

namespace heed {

/// Gradients of an op's inputs (or outputs), in order; an undefined tensor means zero.
using Gradients = std::vector<Tensor>;

/// Which inputs of an op want a gradient: a closure may skip the others' work.
class Wanted {
 public:
  void push_back(bool wanted) { bits_.push_back(wanted); }
  bool operator[](int input) const { return bits_[static_cast<size_t>(input)]; }

 private:
  std::vector<bool> bits_;
};

/// A tensor kept for the backward pass.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor);
  /// The tensor; throws when it was changed in place since it was saved.
  const Tensor& operator*() const;
  const Tensor* operator->() const { return &**this; }
  bool defined() const { return tensor_.defined(); }

 private:
  Tensor tensor_;
  uint64_t version_ = 0;
};

inline Saved save(const Tensor& tensor) { return Saved(tensor); }

/// Runs backward over an op: gradients of its outputs to gradients of its inputs.
using BackwardFn = std::function<Gradients(const Gradients& grads, const Wanted& wanted)>;

/// True when any of the tensors takes part in differentiation and recording is on.
bool needs_grad(std::initializer_list<Tensor> tensors);
bool needs_grad(const std::vector<Tensor>& tensors);

/// Records an op with several outputs; returns the outputs, bound to the tape. Does nothing but
/// return them when no input needs a gradient or recording is off.
std::vector<Tensor> record_many(const char* op, const std::vector<Tensor>& inputs,
                                const std::vector<Tensor>& outputs, BackwardFn backward);

/// Records an op with one output. The closure takes (dy) or (dy, wanted); it is not called when dy
/// is zero everywhere because nothing depended on the output.
template <class Fn>
Tensor record(const char* op, const std::vector<Tensor>& inputs, const Tensor& output,
              Fn&& backward) {
  if (!needs_grad(inputs)) return output;
  using F = std::decay_t<Fn>;
  return record_many(op, inputs, {output},
                     [fn = F(std::forward<Fn>(backward))](const Gradients& grads,
                                                          const Wanted& wanted) -> Gradients {
                       if constexpr (std::is_invocable_v<const F&, const Tensor&, const Wanted&>) {
                         return fn(grads[0], wanted);
                       } else {
                         (void)wanted;
                         return fn(grads[0]);
                       }
                     })[0];
}

/// Marks a leaf whose gradient is wanted (a parameter). Returns the same tensor.
Tensor& require_grad(Tensor& tensor, bool wanted = true);
bool requires_grad(const Tensor& tensor);
/// Whether the tensor is the result of a recorded op.
bool has_history(const Tensor& tensor);

/// A leaf's accumulated gradient; undefined before the first backward pass and after clear_grad.
Tensor grad(const Tensor& leaf);
void set_grad(const Tensor& leaf, const Tensor& gradient);
void clear_grad(const Tensor& leaf);

/// Called with each leaf as soon as its gradient is final in a backward pass (gradient all-reduce
/// hangs on it). Returns nothing; an empty function removes the hook.
using GradReadyHook = std::function<void(const Tensor& leaf)>;
void set_grad_ready_hook(GradReadyHook hook);

/// Walks back from `root`, adding into the leaves' gradients. `seed` is the gradient of root: ones
/// by default, which needs a root of one element. The tape behind root is freed unless `keep`.
void backward(const Tensor& root, const Tensor& seed = {}, bool keep = false);
void backward(const std::vector<Tensor>& roots, const std::vector<Tensor>& seeds,
              bool keep = false);

/// While it lives, ops of this thread are not recorded.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;

 private:
  bool previous_;
};

/// While it lives, recording is on, also inside a NoGrad (for recomputation).
class WithGrad {
 public:
  WithGrad();
  ~WithGrad();
  WithGrad(const WithGrad&) = delete;
  WithGrad& operator=(const WithGrad&) = delete;

 private:
  bool previous_;
};

bool recording();

/// The op whose closure runs now, for messages; "" outside a backward pass.
const char* current_backward_op();

/// Called after every recorded op with its name, inputs and outputs, and after every closure with
/// its op's name, the gradients of its outputs and those of its inputs: for watches (NaN) and
/// profiles. One at a time; empty removes it.
struct TapeObserver {
  std::function<void(const char* op, const std::vector<Tensor>& inputs,
                     const std::vector<Tensor>& outputs)>
      forward;
  std::function<void(const char* op, const Gradients& of_outputs, const Gradients& of_inputs)>
      backward;
};
void set_tape_observer(TapeObserver observer);

}  // namespace heed
