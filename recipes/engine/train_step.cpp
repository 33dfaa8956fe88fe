#include "recipes/engine/train_step.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/random.h"
#include "optim/clip.h"
#include "recipes/engine/nan_watch.h"

namespace heed::recipes {
namespace {

// Every parameter with the ranks that hold it.
std::vector<GradientReducer::Parameter> held_by_ranks(
    const std::vector<optim::Parameter>& parameters, const HeldParts& parts, Mesh& mesh) {
  std::vector<GradientReducer::Parameter> held;
  for (const optim::Parameter& parameter : parameters) {
    held.push_back({parameter.tensor, &parts.holders(parameter.tensor, mesh)});
  }
  return held;
}

}  // namespace

TrainStep::TrainStep(const Recipe& recipe, Task& task, SharedModel& model, Mesh& mesh)
    : recipe_(recipe),
      task_(task),
      optimizer_(model.optimizer()),
      mesh_(mesh),
      pipeline_(model.pipeline()),
      parts_(task.module()),
      sharded_(model.sharded()),
      reducer_(sharded_ != nullptr ? std::vector<GradientReducer::Parameter>()
                                   : held_by_ranks(optimizer_.parameters(), parts_, mesh)) {
  if (sharded_ == nullptr) {
    for (const optim::Parameter& parameter : optimizer_.parameters()) {
      holders_.push_back(parts_.holders(parameter.tensor, mesh).size());
    }
    return;
  }
  share_reducer_ = std::make_unique<ShardedReducer>(sharded_->layout(), mesh);
  for (size_t i = 0; i < sharded_->shares().size(); ++i) {
    if (!sharded_->shares()[i].defined()) continue;
    const Tensor& whole = sharded_->layout().parameters()[i].tensor;
    holders_.push_back(parts_.holders(whole, mesh).size() / mesh.shape().data);
  }
}

std::pair<std::vector<Batch>, int64_t> TrainStep::next_batches(int64_t step) {
  std::vector<Batch> batches;
  int64_t targets = 0;
  for (int64_t i = 0; i < recipe_.train.accumulation; ++i) {
    batches.push_back(task_.next_batch());
    // A loss is the last stage's alone.
    if (pipeline_.is_last()) targets += batches.back().count;
  }
  const auto total =
      static_cast<int64_t>(mesh_.world().all_reduce_number(static_cast<double>(targets)));
  HEED_CHECK(total > 0, "step {}: the batch holds no target to learn from", step + 1);
  return {std::move(batches), total};
}

double TrainStep::accumulate(int64_t step, const std::vector<Batch>& batches, int64_t total,
                             bool reduce) {
  std::vector<Pipeline::MicroBatch> passes;
  for (size_t i = 0; i < batches.size(); ++i) {
    // Where ranks meet within a pass (batch norm), none of them may leave it out.
    if (batches[i].count == 0 && mesh_.world().size() == 1) continue;
    const auto loss = [&, i] {
      const int64_t part = static_cast<int64_t>(i) * mesh_.shape().data + mesh_.place().data;
      random_context() = {static_cast<uint64_t>(recipe_.seed), static_cast<uint64_t>(step),
                          static_cast<uint64_t>(part)};
      if (sharded_ != nullptr) sharded_->require(0);  // what no block gathers for itself
      return task_.loss(batches[i]);
    };
    passes.push_back({loss, static_cast<double>(batches[i].count) / static_cast<double>(total)});
  }
  if (!reduce) return pipeline_.run(passes);
  return pipeline_.run(passes,
                       {[this](bool last) { begin_reduction(last); }, [this] { end_reduction(); }});
}

// Whole gradients of earlier passes stay until the last, unless gradients are sharded: then every
// pass sends its own, so that there never is more than a few buckets of them.
void TrainStep::begin_reduction(bool last) {
  if (share_reducer_ == nullptr) {
    if (last) reducer_.begin();
  } else if (last || sharded_->sharding() != Sharding::optimizer) {
    share_reducer_->begin();
  }
}

void TrainStep::end_reduction() {
  if (share_reducer_ == nullptr) {
    reducer_.finish();
  } else {
    share_reducer_->finish();
  }
}

void TrainStep::zero_grad() {
  optimizer_.zero_grad();
  if (sharded_ == nullptr) return;
  for (const auto& parameter : sharded_->layout().parameters()) clear_grad(parameter.tensor);
}

void TrainStep::take_shares() {
  const std::vector<Tensor> gradients = share_reducer_->take();
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined()) set_grad(sharded_->shares()[i], gradients[i]);
  }
}

StepResult TrainStep::run(int64_t step, double lr, bool asked_to_stop) {
  const auto [batches, total] = next_batches(step);
  zero_grad();
  const double part = accumulate(step, batches, total, /*reduce=*/true);
  if (sharded_ != nullptr) {
    sharded_->release();
    take_shares();
  }
  const Tensor sums = Tensor::from(std::vector<double>{part, asked_to_stop ? 1.0 : 0.0}, {2});
  mesh_.world().all_reduce(sums);

  StepResult result;
  result.loss = sums.data<double>()[0];
  result.asked_to_stop = sums.data<double>()[1] > 0.0;
  result.grad_norm = grad_norm();
  if (!std::isfinite(result.loss)) {
    result.nonfinite =
        fmt::format("the loss is {}: {}", result.loss, explain(step, batches, total));
  } else if (!std::isfinite(result.grad_norm)) {
    result.nonfinite =
        fmt::format("the gradient norm is {}: {}", result.grad_norm, explain(step, batches, total));
  } else {
    optimizer_.step(lr, optim::clip_scale(clipped_norm(result.grad_norm), recipe_.train.clip));
    if (sharded_ != nullptr && sharded_->sharding() != Sharding::parameters) sharded_->gather();
  }
  return result;
}

// The norm of the whole gradient: a part's squares count once, whatever number of ranks holds it.
double TrainStep::grad_norm() const {
  // Where only the batch is shared every rank has the whole gradient. Which axes the mesh has is
  // the same on all ranks; what a rank holds of the model is not.
  if (mesh_.shape().data == mesh_.world().size() && sharded_ == nullptr) {
    return optim::grad_norm(optimizer_.parameters());
  }
  std::map<int64_t, std::vector<optim::Parameter>> by_holders;
  for (size_t i = 0; i < holders_.size(); ++i) {
    by_holders[holders_[i]].push_back(optimizer_.parameters()[i]);
  }
  double squares = 0.0;
  for (const auto& [holders, parameters] : by_holders) {
    const double norm = optim::grad_norm(parameters);
    squares += norm * norm / static_cast<double>(holders);
  }
  return std::sqrt(mesh_.world().all_reduce_number(squares));
}

double TrainStep::clipped_norm(double norm) const {
  if (recipe_.train.adaptive_clip == 0.0) return norm;
  const std::vector<std::string>& skip = recipe_.train.adaptive_clip_skip;
  std::vector<optim::Parameter> parameters = optimizer_.parameters();
  std::erase_if(parameters, [&](const optim::Parameter& parameter) {
    return std::any_of(skip.begin(), skip.end(), [&](const std::string& pattern) {
      return optim::glob_match(pattern, parameter.name);
    });
  });
  optim::clip_adaptive(parameters, recipe_.train.adaptive_clip);
  return grad_norm();
}

std::string TrainStep::explain(int64_t step, const std::vector<Batch>& batches, int64_t total) {
  const auto first_cause = [this](const std::string& own) -> std::string {
    const std::vector<std::string> causes = mesh_.world().all_gather_text(own);
    for (size_t rank = 0; rank < causes.size(); ++rank) {
      if (causes[rank].empty()) continue;
      return causes.size() == 1 ? causes[rank] : fmt::format("on rank {}, {}", rank, causes[rank]);
    }
    return "";
  };
  // Ranks that meet within a pass repeat it together or not at all.
  std::vector<std::pair<std::string, Tensor>> own;
  if (sharded_ != nullptr && sharded_->sharding() == Sharding::parameters) {
    for (const optim::Parameter& p : optimizer_.parameters()) own.emplace_back(p.name, p.tensor);
  } else {
    own = nn::state_dict(task_.module());
  }
  std::string cause = first_cause(bad_before_step(own));
  if (!cause.empty()) return cause;
  cause = first_cause(
      first_nonfinite(task_.module(), [&] { accumulate(step, batches, total, /*reduce=*/false); }));
  return !cause.empty() ? cause : "every tensor of the step was finite when it was repeated";
}

}  // namespace heed::recipes
