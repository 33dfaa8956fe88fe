#include "recipes/engine/sequence_modeling.h"

#include <algorithm>

#include "autograd/ops/view.h"
#include "recipes/engine/measures/answers.h"

namespace heed::recipes {
namespace {

/// [B, N], or [B, N, 2] where tokens have two channels.
Tensor inputs_of(const data::SyntheticBatch& batch) {
  return batch.second.defined() ? stack({batch.tokens.inputs, batch.second}, 2)
                                : batch.tokens.inputs;
}

}  // namespace

SequenceModeling::SequenceModeling(const Recipe& recipe, TaskUse use)
    : IndexedTask(recipe),
      data_(read_options<data::SyntheticDataOptions>(recipe.data, "dataset synthetic")) {
  const data::SyntheticOptions& sequences = data_.sequences;
  data::synthetic_example(sequences, 0, 0);  // refuses what does not fit
  Config model = recipe.model;
  if (sequences.two_channels()) model.set("channels", 2);
  model_ = nn::make_language_model(model, data::synthetic_vocab(sequences), sequences.length);
  if (model_->context() < sequences.length) {
    fail_request(recipe.model.where(), fmt::format("model: a context of {} for sequences of {}",
                                                   model_->context(), sequences.length));
  }
  if (use != TaskUse::train) return;
  start_batches([sequences, rows = rows_per_step(), seed = seed()](
                    int64_t step, const data::RowSlice& part) -> Batch {
    const data::SyntheticBatch batch = data::synthetic_batch(sequences, rows, seed, step, part);
    return {{{"inputs", inputs_of(batch)}, {"targets", batch.tokens.targets}}, batch.tokens.count};
  });
}

std::string SequenceModeling::data_summary() {
  return fmt::format("{}: made without end for training, {} held out; {} tokens of {}",
                     data_.sequences.task, data_.validation, data_.sequences.length,
                     data::synthetic_vocab(data_.sequences));
}

Tensor SequenceModeling::loss(const Batch& batch) {
  return model_->loss(batch["inputs"], batch["targets"]);
}

Metrics SequenceModeling::evaluate(const EvaluationOptions& options, Communicator& communicator,
                                   const Progress& progress) {
  const NoGrad no_grad;
  const int64_t rows = evaluation_rows(options);
  int64_t batches = (data_.validation + rows - 1) / rows;
  if (options.max_batches > 0) batches = std::min(batches, options.max_batches);
  const data::RowSlice slice{communicator.rank(), communicator.size()};
  Answers answers;
  for (int64_t i = 0; i < batches; ++i) {
    const data::SyntheticBatch batch =
        data::synthetic_batch(data_.sequences, rows, hash_name("data/held-out"), i, slice);
    const Tensor inputs = inputs_of(batch);
    const int64_t first = i * rows + data::rows_of(slice, rows).begin;
    const int64_t kept = std::clamp<int64_t>(data_.validation - first, 0, inputs.size(0));
    answers.add(model_->forward(inputs), batch.tokens.targets, kept);
    if (progress) progress(i + 1, batches);
  }
  return answers.metrics(communicator);
}

double SequenceModeling::flops_per_row() {
  const int64_t length = data_.sequences.length;
  return model_->flops_per_token(length) * static_cast<double>(length);
}

}  // namespace heed::recipes
