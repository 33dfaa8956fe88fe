#include "autograd/tape.h"

#include <algorithm>
#include <atomic>
#include <queue>
#include <unordered_map>

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
      for (Edge& edge : node.edges) {
        if (edge.node && edge.node.use_count() == 1) chain.push_back(std::move(edge.node));
      }
      node.backward = nullptr;
    };
    unlink(*this);
    while (!chain.empty()) {
      const std::shared_ptr<Node> next = std::move(chain.back());
      chain.pop_back();
      unlink(*next);
    }
  }
};

thread_local bool recording_on = true;
thread_local const char* backward_op = "";
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

// Adds `more` into `sum`, in place when nobody else holds sum's memory. Each sum is a handle of its
// own: handles that share theirs would count as one holder of the storage.
void accumulate(Tensor& sum, const Tensor& more, bool owned) {
  if (!sum.defined()) {
    sum = more.detach();
  } else if (owned && sum.storage().use_count() == 1 && sum.is_contiguous()) {
    kernels::add_inplace(sum, more);
  } else {
    sum = kernels::add_out_of_place(sum, more);
  }
}

class Walk {
 public:
  explicit Walk(bool keep) : keep_(keep) {}

  void seed(const Tensor& root, const Tensor& gradient) {
    const State* state = state_of(root);
    HEED_CHECK(takes_part(root),
               "backward: the root {} does not depend on anything that wants a gradient", root);
    if (state->node == nullptr) {
      accumulate_leaf(root, gradient);
    } else {
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
      step(*node, grads);
    }
  }

 private:
  struct Item {
    std::shared_ptr<Node> node;
    bool operator<(const Item& other) const { return node->sequence < other.node->sequence; }
  };

  void add(const std::shared_ptr<Node>& node, int output, const Tensor& gradient) {
    auto [it, fresh] = pending_.try_emplace(node.get());
    if (fresh) {
      it->second.resize(static_cast<size_t>(node->outputs));
      queue_.push({node});
    }
    accumulate(it->second[static_cast<size_t>(output)], gradient, true);
  }

  void step(Node& node, const Gradients& grads) {
    HEED_CHECK(node.backward != nullptr,
               "backward: the tape behind '{}' was already freed by an earlier backward pass "
               "(pass keep to walk it twice)",
               node.op);
    backward_op = node.op;
    Gradients results = node.backward(grads, node.wanted);
    backward_op = "";
    HEED_CHECK(results.size() == node.edges.size(), "backward of {}: {} gradients for {} inputs",
               node.op, results.size(), node.edges.size());
    if (observer().backward) observer().backward(node.op, results);
    if (!keep_) node.backward = nullptr;  // frees what it saved
    for (size_t i = 0; i < results.size(); ++i) {
      Node::Edge& edge = node.edges[i];
      Tensor gradient = std::move(results[i]);
      results[i] = Tensor();
      if (gradient.defined() && node.wanted[static_cast<int>(i)]) {
        HEED_CHECK(gradient.shape() == edge.shape,
                   "backward of {}: the gradient of input {} has shape {}, the input {}", node.op,
                   i, gradient.shape(), edge.shape);
        if (edge.node) {
          add(edge.node, edge.output, gradient);
        } else {
          accumulate_leaf(edge.leaf, gradient);
        }
      }
      if (!edge.node && edge.leaf.defined()) finish_leaf_use(edge.leaf);
    }
  }

  static void accumulate_leaf(const Tensor& leaf, const Tensor& gradient) {
    Tensor& sum = state_of(leaf)->gradient;
    if (!sum.defined() && (!gradient.is_contiguous() || gradient.dtype() != leaf.dtype())) {
      sum = kernels::contiguous_as(gradient, leaf.dtype());
    } else {
      accumulate(sum, gradient, true);
    }
  }

  // A leaf's gradient is final when every reachable node that uses it has run.
  void count_leaf_uses() {
    if (!grad_ready_hook()) return;
    std::vector<Node*> stack;
    std::unordered_map<Node*, bool> seen;
    for (auto& [node, grads] : pending_) stack.push_back(node);
    for (Node* node : stack) seen[node] = true;
    while (!stack.empty()) {
      Node* node = stack.back();
      stack.pop_back();
      for (const Node::Edge& edge : node->edges) {
        if (edge.node) {
          if (!std::exchange(seen[edge.node.get()], true)) stack.push_back(edge.node.get());
        } else if (edge.leaf.defined()) {
          ++leaf_uses_[state_of(edge.leaf)];
        }
      }
    }
  }

  void finish_leaf_use(const Tensor& leaf) {
    if (!grad_ready_hook()) return;
    if (--leaf_uses_[state_of(leaf)] == 0) grad_ready_hook()(leaf);
  }

  bool keep_;
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
  return recording_on && std::any_of(tensors.begin(), tensors.end(), takes_part);
}

bool needs_grad(const std::vector<Tensor>& tensors) {
  return recording_on && std::any_of(tensors.begin(), tensors.end(), takes_part);
}

std::vector<Tensor> record_many(const char* op, const std::vector<Tensor>& inputs,
                                const std::vector<Tensor>& outputs, BackwardFn backward) {
  if (observer().forward) observer().forward(op, outputs);
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
  Walk walk(keep);
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

NoGrad::NoGrad() : previous_(recording_on) { recording_on = false; }
NoGrad::~NoGrad() { recording_on = previous_; }
WithGrad::WithGrad() : previous_(recording_on) { recording_on = true; }
WithGrad::~WithGrad() { recording_on = previous_; }
bool recording() { return recording_on; }
const char* current_backward_op() { return backward_op; }
void set_tape_observer(TapeObserver instance) { observer() = std::move(instance); }

}  // namespace heed
