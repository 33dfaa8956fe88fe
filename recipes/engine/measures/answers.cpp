#include "recipes/engine/measures/answers.h"

#include "autograd/ops/loss.h"
#include "autograd/ops/reduce.h"
#include "core/views.h"

namespace heed::recipes {

void Answers::add(const Tensor& all_logits, const Tensor& all_targets, int64_t rows) {
  if (rows == 0) return;
  const Tensor logits = views::slice(all_logits, 0, 0, rows);
  const Tensor counted = views::slice(all_targets, 0, 0, rows);
  nats_ += cross_entropy(logits, counted, {.reduction = Reduction::sum}).item();
  const std::vector<int64_t> said = argmax(logits, -1).to_vector<int64_t>();
  const std::vector<int64_t> targets = counted.to_vector<int64_t>();
  const auto width = static_cast<size_t>(counted.size(1));
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    bool all = true;
    for (size_t i = row * width; i < (row + 1) * width; ++i) {
      if (targets[i] == data::kIgnoreTarget) continue;
      const bool same = said[i] == targets[i];
      targets_ += 1;
      right_ += same ? 1 : 0;
      all = all && same;
    }
    examples_ += 1;
    whole_ += all ? 1 : 0;
  }
}

Metrics Answers::metrics(Communicator& communicator) const {
  double nats = nats_, targets = targets_, right = right_, examples = examples_, whole = whole_;
  for (double* number : {&nats, &targets, &right, &examples, &whole}) {
    *number = communicator.all_reduce_number(*number);
  }
  if (targets == 0) return {};
  return {{"loss", nats / targets},
          {"accuracy", right / targets},
          {"example_accuracy", whole / examples}};
}

}  // namespace heed::recipes
