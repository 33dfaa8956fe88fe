#include "recipes/engine/answer_modeling.h"

#include <algorithm>

#include "recipes/engine/measures/answers.h"
#include "recipes/engine/text_generator.h"

namespace heed::recipes {

data::Batch joined(const data::PairBatch& pairs, int64_t end) {
  const int64_t rows = pairs.ids.size(0), sources = pairs.ids.size(1),
                width = pairs.targets.size(1);
  const std::vector<int64_t> ids = pairs.ids.to_vector<int64_t>(),
                             lengths = pairs.lengths.to_vector<int64_t>(),
                             targets = pairs.targets.to_vector<int64_t>();
  const auto target_length = [&](int64_t row) {
    const auto first = targets.begin() + row * width;
    return std::find(first, first + width, data::kIgnoreTarget) - first;
  };
  int64_t longest = 1;
  for (int64_t row = 0; row < rows; ++row) {
    longest = std::max(longest, lengths[static_cast<size_t>(row)] + target_length(row));
  }
  data::Batch batch;
  batch.inputs = Tensor::zeros({rows, longest}, DType::i64);
  batch.targets =
      Tensor::full({rows, longest}, static_cast<double>(data::kIgnoreTarget), DType::i64);
  batch.index = pairs.index;
  batch.count = pairs.count;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t source = lengths[static_cast<size_t>(row)], target = target_length(row);
    if (target == 0) continue;  // padding
    auto* in = batch.inputs.data<int64_t>() + row * longest;
    const auto first = targets.begin() + row * width;
    std::copy_n(ids.begin() + row * sources, source, in);
    in[source] = end;
    std::copy_n(first, target - 1, in + source + 1);
    std::copy_n(first, target, batch.targets.data<int64_t>() + row * longest + source);
  }
  return batch;
}

AnswerModeling::AnswerModeling(const Recipe& recipe, TaskUse use, const std::string& assets,
                               const std::string& part)
    : PairTask(recipe) {
  open_pairs(use, assets, part);
  const int64_t longest = data_ ? data_->longest_source() + data_->longest_target() : 0;
  model_ = nn::make_language_model(recipe.model, known_ids(tokenizer(), end()), longest);
  if (!model_->extrapolates() && model_->context() < longest) {
    fail_request(recipe.model.where(), fmt::format("model: a context of {} for pairs of {} tokens",
                                                   model_->context(), longest));
  }
  if (use != TaskUse::train) return;
  start_pairs([end = end()](const data::PairBatch& pairs) -> Batch {
    const data::Batch batch = joined(pairs, end);
    return {{{"inputs", batch.inputs}, {"targets", batch.targets}}, batch.count};
  });
}

Tensor AnswerModeling::loss(const Batch& batch) {
  return model_->loss(batch["inputs"], batch["targets"]);
}

Metrics AnswerModeling::evaluate(const EvaluationOptions& options, Communicator& communicator,
                                 const Progress& progress) {
  const NoGrad no_grad;
  Answers answers;
  walk(options, communicator, progress, [&](const data::PairBatch& pairs) {
    const data::Batch batch = joined(pairs, end());
    answers.add(model_->forward(batch.inputs), batch.targets, pairs.rows);
  });
  return answers.metrics(communicator);
}

Generated AnswerModeling::generate(const std::string& prompt, const GenerateOptions& options,
                                   const TokenCallback& on_token) {
  std::vector<data::TokenId> ids = tokenizer().encode(prompt);
  if (ids.empty()) ids.push_back(end());  // as an empty source is read
  ids.push_back(end());
  return generate_text(*model_, tokenizer(), ids, end(), options, on_token);
}

double AnswerModeling::flops_per_row() {
  const int64_t tokens = data_->mean_source() + data_->mean_target();
  return model_->flops_per_token(tokens) * static_cast<double>(tokens);
}

}  // namespace heed::recipes
