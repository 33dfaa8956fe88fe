#include "autograd/checkpoint.h"

#include <utility>

#include "autograd/tape_internal.h"
#include "core/random.h"

namespace heed {
namespace {

thread_local bool recomputing_now = false;

std::vector<Tensor> detached(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> out;
  for (const Tensor& tensor : tensors) out.push_back(tensor.defined() ? tensor.detach() : tensor);
  return out;
}

// The run's randomness and the recomputing mark as they were in the forward pass; restored after.
class Replay {
 public:
  explicit Replay(const RandomContext& context)
      : context_(std::exchange(random_context(), context)),
        recomputing_(std::exchange(recomputing_now, true)) {}
  ~Replay() {
    random_context() = context_;
    recomputing_now = recomputing_;
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

 private:
  RandomContext context_;
  bool recomputing_;
};

}  // namespace

bool recomputing() { return recomputing_now; }

Tensor checkpoint(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                  const std::vector<Tensor>& inputs) {
  const RandomContext context = random_context();
  // Beside its inputs, the op depends on the leaves that fn uses: they are edges of the node, so
  // that the walk knows when their gradients are final, but the nested walk adds to them directly.
  std::vector<Tensor> edges = inputs;
  Tensor out;
  {
    const NoGrad no_grad;
    detail::LeafWatch watch("checkpoint");
    out = fn(detached(inputs));
    edges.insert(edges.end(), watch.leaves().begin(), watch.leaves().end());
  }
  std::vector<Saved> saved;
  for (const Tensor& input : inputs) saved.push_back(save(input));
  return record("checkpoint", edges, out,
                [fn, saved = std::move(saved), context, count = edges.size()](
                    const Tensor& dy, const Wanted& wanted) {
                  const Replay replay(context);
                  const WithGrad recorded;
                  std::vector<Tensor> again;
                  for (const Saved& input : saved) {
                    again.push_back(input.defined() ? input->detach() : Tensor());
                    const bool want = wanted[static_cast<int>(again.size()) - 1];
                    if (want) require_grad(again.back());
                  }
                  const Tensor y = fn(again);
                  HEED_CHECK(y.shape() == dy.shape(),
                             "checkpoint: the function gave {} and then, recomputed, {}",
                             dy.shape(), y.shape());
                  Gradients grads(count);
                  if (!requires_grad(y)) return grads;
                  detail::backward_nested(y, dy);
                  for (size_t i = 0; i < again.size(); ++i) {
                    if (again[i].defined()) grads[i] = grad(again[i]);
                  }
                  return grads;
                });
}

}  // namespace heed
