#include "autograd/tape.h"

#include <algorithm>
#include <atomic>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "autograd/tape_internal.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/accumulate.h"

namespace heed {
namespace {

struct Node;

// A tensor's autograd state: a leaf holds its gradient, a result knows the node that made it.
struct State : AutogradState {
  bool wants_grad = false;
  Tensor gradient;
  std::shared_ptr<Node> node;
  int output = 0;
};

// One recorded op. `inputs` keep leaves alive and lead to the nodes of the other inputs.
struct Node {
  const char* op = "";
  uint64_t sequence = 0;
  int outputs = 0;
  BackwardFn backward;
  struct Edge {
    std::shared_ptr<Node> node;  // null for a leaf
    int output = 0;
    Tensor leaf;  // undefined unless a leaf that wants a gradient
    Shape shape;
    DType dtype;
  };
  std::vector<Edge> edges;
  Wanted wanted;

  // A long chain of nodes must not be destroyed recursively: unlink it step by step.
  ~Node() {
    std::vector<std::shared_ptr<Node>> chain;
    auto unlink = [&chain](Node& node) {
      node.backward = nullptr;
      for (Edge& edge : node.edges) {
        if (edge.node) chain.push_back(std::move(edge.node));
      }
    };
    unlink(*this);
    while (!chain.empty()) {
      const std::shared_ptr<Node> next = std::move(chain.back());
      chain.pop_back();
      if (next.use_count() == 1) unlink(*next);
    }
  }
};

thread_local bool recording_on = true;
thread_local const char* backward_op = "";
thread_local detail::LeafWatch* leaf_watch = nullptr;
std::atomic<uint64_t> next_sequence{1};

TapeObserver& observer() {
  static TapeObserver instance;
  return instance;
}

GradReadyHook& grad_ready_hook() {
  static GradReadyHook hook;
  return hook;
}

State* state_of(const Tensor& tensor) { return static_cast<State*>(tensor.autograd().get()); }

bool takes_part(const Tensor& tensor) {
  if (!tensor.defined()) return false;
  const State* state = state_of(tensor);
  return state != nullptr && (state->wants_grad || state->node != nullptr);
}

bool any_takes_part(const Tensor* begin, const Tensor* end) {
  if (leaf_watch != nullptr) {
    for (const Tensor* tensor = begin; tensor != end; ++tensor) {
      if (takes_part(*tensor)) leaf_watch->note(*tensor);
    }
  }
  return recording_on && std::any_of(begin, end, takes_part);
}

// Names the op whose closure runs; nested in a closure that itself walks a tape.
class RunningOp {
 public:
  explicit RunningOp(const char* op) : previous_(std::exchange(backward_op, op)) {}
  ~RunningOp() { backward_op = previous_; }
  RunningOp(const RunningOp&) = delete;
  RunningOp& operator=(const RunningOp&) = delete;

 private:
  const char* previous_;
};

// Adds `more` into `sum`, in place when nobody else holds sum's memory.
void accumulate(Tensor& sum, Tensor more) {
  if (!sum.defined()) {
    sum = std::move(more);
  } else if (sum.is_sole_owner() && sum.is_contiguous()) {
    kernels::add_inplace(sum, more);
  } else {
    sum = kernels::add_out_of_place(sum, more);
  }
}

class Walk {
 public:
  Walk(bool keep, bool hooks) : keep_(keep), hooks_(hooks && grad_ready_hook()) {}

  void seed(const Tensor& root, const Tensor& gradient) {
    const State* state = state_of(root);
    HEED_CHECK(takes_part(root),
               "backward: the root {} does not depend on anything that wants a gradient", root);
    if (state->node == nullptr) {
      accumulate_leaf(root, gradient);
      if (hooks_) use_leaf(root);
    } else {
      roots_.push_back(state->node.get());
      add(state->node, state->output, gradient);
    }
  }

  void run() {
    count_leaf_uses();
    const NoGrad no_grad;
    while (!queue_.empty()) {
      const std::shared_ptr<Node> node = queue_.top().node;
      queue_.pop();
      Gradients grads = std::move(pending_.at(node.get()));
      pending_.erase(node.get());
      step(*node, std::move(grads));
    }
    finish_remaining_leaves();
  }

 private:
  struct Item {
    std::shared_ptr<Node> node;
    bool operator<(const Item& other) const { return node->sequence < other.node->sequence; }
  };

  void add(const std::shared_ptr<Node>& node, int output, Tensor gradient) {
    auto [it, fresh] = pending_.try_emplace(node.get());
    if (fresh) {
      it->second.resize(static_cast<size_t>(node->outputs));
      queue_.push({node});
    }
    accumulate(it->second[static_cast<size_t>(output)], std::move(gradient));
  }

  void step(Node& node, Gradients grads) {
    HEED_CHECK(node.backward != nullptr,
               "backward: the tape behind '{}' was already freed by an earlier backward pass "
               "(pass keep to walk it twice)",
               node.op);
    Gradients results;
    {
      const RunningOp running(node.op);
      results = node.backward(grads, node.wanted);
    }
    if (observer().backward) observer().backward(node.op, grads, results);
    grads.clear();  // a result that is one of them may now be the memory's only owner
    HEED_CHECK(results.size() == node.edges.size(), "backward of {}: {} gradients for {} inputs",
               node.op, results.size(), node.edges.size());
    if (!keep_) node.backward = nullptr;  // frees what it saved
    for (size_t i = 0; i < results.size(); ++i) {
      Node::Edge& edge = node.edges[i];
      Tensor gradient = std::move(results[i]);
      results[i] = Tensor();
      if (gradient.defined() && node.wanted[static_cast<int>(i)]) {
        HEED_CHECK(gradient.shape() == edge.shape,
                   "backward of {}: the gradient of input {} has shape {}, the input {}", node.op,
                   i, gradient.shape(), edge.shape);
        gradient = kernels::cast(gradient, edge.dtype);
        if (edge.node) {
          add(edge.node, edge.output, std::move(gradient));
        } else {
          accumulate_leaf(edge.leaf, std::move(gradient));
        }
      }
      if (!edge.node && edge.leaf.defined()) finish_leaf_use(edge.leaf);
    }
  }

  // A leaf owns its gradient: optimisers and clipping write into it.
  static void accumulate_leaf(const Tensor& leaf, Tensor gradient) {
    Tensor& sum = state_of(leaf)->gradient;
    if (!sum.defined() && (!gradient.is_sole_owner() || !gradient.is_contiguous())) {
      sum = Tensor::empty(leaf.shape(), leaf.dtype(), leaf.device());
      kernels::copy(gradient, sum);
    } else {
      accumulate(sum, std::move(gradient));
    }
  }

  // A leaf's gradient is final when every reachable node that uses it has run.
  void count_leaf_uses() {
    if (!hooks_) return;
    std::vector<Node*> stack;
    std::unordered_set<Node*> seen;
    for (Node* root : roots_) {
      if (seen.insert(root).second) stack.push_back(root);
    }
    while (!stack.empty()) {
      Node* node = stack.back();
      stack.pop_back();
      for (const Node::Edge& edge : node->edges) {
        if (edge.node) {
          if (seen.insert(edge.node.get()).second) stack.push_back(edge.node.get());
        } else if (edge.leaf.defined()) {
          use_leaf(edge.leaf);
        }
      }
    }
  }

  void use_leaf(const Tensor& leaf) {
    if (leaf_uses_[state_of(leaf)]++ == 0) leaves_.push_back(leaf);
  }

  void finish_leaf_use(const Tensor& leaf) {
    if (hooks_ && --leaf_uses_[state_of(leaf)] == 0) grad_ready_hook()(leaf);
  }

  // Roots that are leaves, and leaves below a node that no gradient reached.
  void finish_remaining_leaves() {
    for (const Tensor& leaf : leaves_) {
      if (std::exchange(leaf_uses_[state_of(leaf)], 0) > 0) grad_ready_hook()(leaf);
    }
  }

  bool keep_;
  bool hooks_;
  std::vector<Node*> roots_;
  std::vector<Tensor> leaves_;
  std::priority_queue<Item> queue_;
  std::unordered_map<Node*, Gradients> pending_;
  std::unordered_map<State*, int> leaf_uses_;
};

}  // namespace

Saved::Saved(const Tensor& tensor) {
  if (!tensor.defined()) return;
  tensor_ = tensor.detach();
  version_ = tensor.version();
}

const Tensor& Saved::operator*() const {
  HEED_CHECK(
      !tensor_.defined() || tensor_.version() == version_,
      "backward of {}: a tensor it saved ({}) was changed in place since (version {}, now {})",
      current_backward_op(), tensor_, version_, tensor_.version());
  return tensor_;
}

bool needs_grad(std::initializer_list<Tensor> tensors) {
  return any_takes_part(tensors.begin(), tensors.end());
}

bool needs_grad(const std::vector<Tensor>& tensors) {
  return any_takes_part(tensors.data(), tensors.data() + tensors.size());
}

std::vector<Tensor> record_many(const char* op, const std::vector<Tensor>& inputs,
                                const std::vector<Tensor>& outputs, BackwardFn backward) {
  if (observer().forward) observer().forward(op, inputs, outputs);
  if (!needs_grad(inputs)) return outputs;
  auto node = std::make_shared<Node>();
  node->op = op;
  node->sequence = next_sequence++;
  node->outputs = static_cast<int>(outputs.size());
  node->backward = std::move(backward);
  node->edges.reserve(inputs.size());
  for (const Tensor& input : inputs) {
    Node::Edge edge{};
    const bool wanted = takes_part(input);
    node->wanted.push_back(wanted);
    if (wanted) {
      const State* state = state_of(input);
      edge.node = state->node;
      edge.output = state->output;
      if (!edge.node) edge.leaf = input;
      edge.shape = input.shape();
      edge.dtype = input.dtype();
    }
    node->edges.push_back(std::move(edge));
  }
  std::vector<Tensor> bound;
  bound.reserve(outputs.size());
  for (const Tensor& output : outputs) {
    // An op may return its input's memory (a view): the result is a tensor of its own all the same.
    Tensor result = output.detach();
    auto state = std::make_shared<State>();
    state->node = node;
    state->output = static_cast<int>(bound.size());
    result.set_autograd(std::move(state));
    bound.push_back(std::move(result));
  }
  return bound;
}

Tensor& require_grad(Tensor& tensor, bool wanted) {
  HEED_CHECK(!has_history(tensor), "require_grad: {} is the result of an op, not a leaf", tensor);
  HEED_CHECK(!wanted || is_floating(tensor.dtype()), "require_grad: {} is not floating", tensor);
  if (tensor.autograd() == nullptr) tensor.set_autograd(std::make_shared<State>());
  state_of(tensor)->wants_grad = wanted;
  return tensor;
}

bool requires_grad(const Tensor& tensor) { return takes_part(tensor); }

bool has_history(const Tensor& tensor) {
  const State* state = state_of(tensor);
  return state != nullptr && state->node != nullptr;
}

Tensor grad(const Tensor& leaf) {
  const State* state = state_of(leaf);
  return state == nullptr ? Tensor() : state->gradient;
}

void set_grad(const Tensor& leaf, const Tensor& gradient) {
  HEED_CHECK(takes_part(leaf) && !has_history(leaf), "set_grad: {} is not a leaf with a gradient",
             leaf);
  state_of(leaf)->gradient = gradient;
}

void clear_grad(const Tensor& leaf) {
  if (State* state = state_of(leaf)) state->gradient = Tensor();
}

void set_grad_ready_hook(GradReadyHook hook) { grad_ready_hook() = std::move(hook); }

void backward(const Tensor& root, const Tensor& seed, bool keep) {
  backward(std::vector<Tensor>{root}, std::vector<Tensor>{seed}, keep);
}

void backward(const std::vector<Tensor>& roots, const std::vector<Tensor>& seeds, bool keep) {
  HEED_CHECK(roots.size() == seeds.size(), "backward: {} roots, {} seeds", roots.size(),
             seeds.size());
  Walk walk(keep, /*hooks=*/true);
  for (size_t i = 0; i < roots.size(); ++i) {
    Tensor seed = seeds[i];
    if (!seed.defined()) {
      HEED_CHECK(roots[i].numel() == 1, "backward: the root {} needs a seed gradient", roots[i]);
      seed = Tensor::full(roots[i].shape(), 1.0, roots[i].dtype(), roots[i].device());
    }
    HEED_CHECK(seed.shape() == roots[i].shape(), "backward: seed of shape {} for a root of {}",
               seed.shape(), roots[i].shape());
    walk.seed(roots[i], seed);
  }
  walk.run();
}

namespace detail {

LeafWatch::LeafWatch(const char* op) : op_(op), previous_(std::exchange(leaf_watch, this)) {}
LeafWatch::~LeafWatch() { leaf_watch = previous_; }

void LeafWatch::note(const Tensor& tensor) {
  HEED_CHECK(!has_history(tensor),
             "{}: the function uses {}, the result of a recorded op, by itself: pass it among the "
             "inputs",
             op_, tensor);
  const bool known = std::any_of(leaves_.begin(), leaves_.end(), [&](const Tensor& leaf) {
    return leaf.autograd() == tensor.autograd();
  });
  if (!known) leaves_.push_back(tensor);
}

void backward_nested(const std::vector<Tensor>& roots, const std::vector<Tensor>& seeds) {
  Walk walk(/*keep=*/false, /*hooks=*/false);
  for (size_t i = 0; i < roots.size(); ++i) walk.seed(roots[i], seeds[i]);
  walk.run();
}

}  // namespace detail

NoGrad::NoGrad() : previous_(recording_on) { recording_on = false; }
NoGrad::~NoGrad() { recording_on = previous_; }
WithGrad::WithGrad() : previous_(recording_on) { recording_on = true; }
WithGrad::~WithGrad() { recording_on = previous_; }
bool recording() { return recording_on; }
const char* current_backward_op() { return backward_op; }
void set_tape_observer(TapeObserver instance) { observer() = std::move(instance); }

}  // namespace heed
