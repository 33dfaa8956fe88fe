#include "distributed/pipeline.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "kernels/copy/copy.h"
#include "nn/device_of.h"

namespace heed {
namespace {

constexpr int kActivations = 0, kGradients = 1;  // tags

nn::BlockStackBase& the_stack(nn::Module& module, int64_t stages) {
  nn::BlockStackBase* found = nullptr;
  for (const auto& [path, part] : module.named_modules()) {
    auto* stack = dynamic_cast<nn::BlockStackBase*>(part);
    if (stack == nullptr) continue;
    if (found != nullptr) {
      fail_request(
          "parallel.pipeline: the model has several stacks of blocks; a pipeline cuts one");
    }
    found = stack;
  }
  if (found == nullptr) {
    fail_request("parallel.pipeline: the model is no stack of like blocks, which a pipeline cuts");
  }
  if (found->block_count() < stages) {
    fail_request("parallel.pipeline: {} stages for {} blocks", stages, found->block_count());
  }
  return *found;
}

}  // namespace

BlockRange blocks_of_stage(int64_t blocks, int64_t stages, int64_t stage) {
  const int64_t share = blocks / stages, more = blocks % stages;
  const int64_t first = stage * share + std::min(stage, more);
  return {first, first + share + (stage < more ? 1 : 0)};
}

// This rank's blocks, and what it says to the stages before and after it.
class Pipeline::Stage : public nn::StackStage {
 public:
  Stage(Communicator& stages, int64_t blocks, Device device)
      : stages_(stages),
        device_(device),
        blocks_(blocks_of_stage(blocks, stages.size(), stages.rank())) {}

  int64_t first_block() const override { return blocks_.first; }
  int64_t end_block() const override { return blocks_.end; }
  bool is_last() const { return stages_.rank() + 1 == stages_.size(); }

  Tensor enter(const Shape& shape, DType dtype) override {
    Tensor x = Tensor::empty(shape, dtype, device_);
    stages_.receive(x, stages_.rank() - 1, kActivations);
    if (recording()) input_ = require_grad(x);
    return x;
  }

  Tensor leave(const Tensor& x) override {
    if (recording()) {
      if (is_last()) return x;
      send(x, stages_.rank() + 1, kActivations);
      throw nn::StageEnd{x};
    }
    if (!is_last()) send(x, stages_.rank() + 1, kActivations);
    Tensor out = is_last() ? kernels::contiguous_as(x, x.dtype())
                           : Tensor::empty(x.shape(), x.dtype(), x.device());
    stages_.broadcast(out, stages_.size() - 1);
    finish();
    return out;
  }

  /// What entered in the latest recorded forward pass; undefined on the first stage.
  Tensor take_input() { return std::exchange(input_, Tensor()); }

  void send(const Tensor& x, int to, int tag) {
    const Tensor sent = kernels::contiguous_as(x.detach(), x.dtype());
    under_way_.push_back({stages_.start_send(sent, to, tag), sent});
    while (!under_way_.empty() && under_way_.front().first.done()) under_way_.pop_front();
  }
  /// Waits until all that was sent has arrived.
  void finish() { under_way_.clear(); }

 private:
  Communicator& stages_;
  Device device_;  // of the model
  BlockRange blocks_;
  Tensor input_;
  std::deque<std::pair<Work, Tensor>> under_way_;
};

// A micro-batch between its forward and its backward pass.
struct Pipeline::Flight {
  Tensor input;     // of the first block; undefined on the first stage
  Tensor output;    // the loss on the last stage, else what was sent on
  Tensor gradient;  // of the output: its receive is under way on all but the last stage
  Work gradient_work;
  double weight = 1.0;
};

Pipeline::Pipeline(Communicator& stages, nn::Module& module) : stages_(stages) {
  if (stages.size() == 1) return;
  nn::BlockStackBase& stack = the_stack(module, stages.size());
  stage_ = std::make_shared<Stage>(stages, stack.block_count(), nn::device_of(module));
  stack.share(stage_);
}

Pipeline::~Pipeline() = default;

bool Pipeline::is_last() const { return !stage_ || stage_->is_last(); }

Pipeline::Flight Pipeline::forward(const MicroBatch& batch) {
  Flight flight;
  flight.weight = batch.weight;
  try {
    flight.output = batch.loss();
  } catch (const nn::StageEnd& end) {
    flight.output = end.output;
    flight.gradient = Tensor::empty(end.output.shape(), end.output.dtype(), end.output.device());
    flight.gradient_work = stages_.start_receive(flight.gradient, stages_.rank() + 1, kGradients);
  }
  if (stage_) flight.input = stage_->take_input();
  return flight;
}

double Pipeline::backward(Flight& flight) {
  double loss = 0.0;
  if (is_last()) {
    loss = flight.weight * flight.output.item();
    flight.gradient = Tensor::full(flight.output.shape(), flight.weight, flight.output.dtype());
  } else {
    flight.gradient_work.wait();
  }
  // Nothing that this stage or those before it have may be trained.
  const bool trains = requires_grad(flight.output) || has_history(flight.output);
  if (trains) heed::backward(flight.output, flight.gradient);
  if (!flight.input.defined()) return loss;
  const Tensor gradient = grad(flight.input);
  const Tensor& x = flight.input;
  stage_->send(gradient.defined() ? gradient : Tensor::zeros(x.shape(), x.dtype(), x.device()),
               stages_.rank() - 1, kGradients);
  return loss;
}

double Pipeline::run(const std::vector<MicroBatch>& batches, const Around& around) {
  const auto behind = static_cast<size_t>(stages_.size() - 1 - stages_.rank());
  std::deque<Flight> in_flight;
  double loss = 0.0;
  size_t started = 0, ended = 0;
  most_in_flight_ = 0;
  while (ended < batches.size()) {
    if (started < batches.size() && in_flight.size() <= behind) {
      in_flight.push_back(forward(batches[started++]));
      most_in_flight_ = std::max(most_in_flight_, std::ssize(in_flight));
      if (in_flight.size() <= behind && started < batches.size()) continue;  // warming up
    }
    if (around.before) around.before(ended + 1 == batches.size());
    loss += backward(in_flight.front());
    if (around.after) around.after();
    in_flight.pop_front();
    ++ended;
  }
  if (stage_) stage_->finish();
  return loss;
}

}  // namespace heed
