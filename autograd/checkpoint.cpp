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

std::vector<Tensor> checkpoint_many(
    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& fn,
    const std::vector<Tensor>& inputs) {
  const RandomContext context = random_context();
  // Beside its inputs, the op depends on the leaves that fn uses: they are edges of the node, so
  // that the walk knows when their gradients are final, but the nested walk adds to them directly.
  std::vector<Tensor> edges = inputs;
  std::vector<Tensor> outputs;
  {
    const NoGrad no_grad;
    detail::LeafWatch watch("checkpoint");
    outputs = fn(detached(inputs));
    edges.insert(edges.end(), watch.leaves().begin(), watch.leaves().end());
  }
  std::vector<Saved> saved;
  for (const Tensor& input : inputs) saved.push_back(save(input));
  return record_many("checkpoint", edges, outputs,
                     [fn, saved = std::move(saved), context, count = edges.size()](
                         const Gradients& dys, const Wanted& wanted) {
                       const Replay replay(context);
                       const WithGrad recorded;
                       std::vector<Tensor> again;
                       for (const Saved& input : saved) {
                         again.push_back(input.defined() ? input->detach() : Tensor());
                         const bool want = wanted[static_cast<int>(again.size()) - 1];
                         if (want) require_grad(again.back());
                       }
                       const std::vector<Tensor> ys = fn(again);
                       HEED_CHECK(
                           ys.size() == dys.size(),
                           "checkpoint: the function gave {} outputs and then, recomputed, {}",
                           dys.size(), ys.size());
                       std::vector<Tensor> roots, seeds;
                       for (size_t i = 0; i < ys.size(); ++i) {
                         if (!dys[i].defined() || !requires_grad(ys[i])) continue;
                         HEED_CHECK(ys[i].shape() == dys[i].shape(),
                                    "checkpoint: the function gave {} and then, recomputed, {}",
                                    dys[i].shape(), ys[i].shape());
                         roots.push_back(ys[i]);
                         seeds.push_back(dys[i]);
                       }
                       Gradients grads(count);
                       if (roots.empty()) return grads;
                       detail::backward_nested(roots, seeds);
                       for (size_t i = 0; i < again.size(); ++i) {
                         if (again[i].defined()) grads[i] = grad(again[i]);
                       }
                       return grads;
                     });
}

Tensor checkpoint(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                  const std::vector<Tensor>& inputs) {
  return checkpoint_many(
      [fn](const std::vector<Tensor>& xs) { return std::vector<Tensor>{fn(xs)}; }, inputs)[0];
}

}  // namespace heed
