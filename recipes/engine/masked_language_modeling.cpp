#include "recipes/engine/masked_language_modeling.h"

#include <algorithm>
#include <numbers>
#include <utility>

#include "autograd/ops/index.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/view.h"
#include "data/ngram.h"
#include "recipes/engine/measures/likelihood.h"
#include "recipes/engine/measures/ranking.h"

namespace heed::recipes {
namespace {

std::unique_ptr<nn::Encoder> make_model(const Config& given, int64_t vocab) {
  Config config = given;
  const Config* head = config.find("mlm");
  if (head == nullptr) {
    config.set("mlm", true);
  } else if (!head->as_bool()) {
    fail_request(head->where(), "task masked_language_modeling: the model needs `mlm: true`");
  }
  const Config& type = config.at("type");
  if (type.as_string() != "encoder") {
    fail_request(type.where(),
                 fmt::format("task masked_language_modeling: the model '{}' predicts no masked "
                             "tokens; encoder does",
                             type.as_string()));
  }
  auto made = nn::make_classifier(config, 0, nn::ClassifierInput::tokens(vocab, 0));
  return std::unique_ptr<nn::Encoder>(dynamic_cast<nn::Encoder*>(made.release()));
}

int64_t find_mask(const data::Tokenizer& tokenizer) {
  for (const data::SpecialToken& special : tokenizer.specials()) {
    if (special.text == "[MASK]" || special.text == "<mask>") return special.id;
  }
  return tokenizer.vocab_size();
}

/// Sum of the losses of the predicted tokens, and how many were the likeliest.
struct Score {
  double nats = 0.0, right = 0.0;
};

Score score(nn::Encoder& model, const data::Masked& masked, const Tensor& lengths) {
  std::vector<int64_t> places, truths;
  const std::vector<int64_t> targets = masked.targets.to_vector<int64_t>();
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] == data::kIgnoreTarget) continue;
    places.push_back(static_cast<int64_t>(i));
    truths.push_back(targets[i]);
  }
  const auto count = static_cast<int64_t>(places.size());
  const Tensor states = model.features(masked.inputs, lengths);
  const Tensor rows =
      index_select(reshape(states, {-1, states.size(2)}), 0, Tensor::from(places, {count}));
  const Tensor logits = reshape(model.mlm_logits(reshape(rows, {1, count, -1})), {count, -1});
  Score result;
  result.nats =
      static_cast<double>(count) * cross_entropy(logits, Tensor::from(truths, {count})).item();
  const std::vector<float> values = logits.to_vector<float>();
  const size_t vocab = values.size() / truths.size();
  for (size_t i = 0; i < truths.size(); ++i) {
    result.right += best_of(std::span(values).subspan(i * vocab, vocab)) == truths[i] ? 1.0 : 0.0;
  }
  return result;
}

/// Rows as the model sees them: `start`, the first `lengths` tokens (all when undefined), `finish`,
/// then anything. What stands around a row is not predicted.
data::Masked framed(const data::Masked& masked, const Tensor& lengths, const data::Tokenizer& by) {
  const auto& start = by.start();
  const auto& finish = by.finish();
  if (start.empty() && finish.empty()) return masked;
  const int64_t rows = masked.inputs.size(0), columns = masked.inputs.size(1);
  const int64_t wide = columns + std::ssize(start) + std::ssize(finish);
  data::Masked made{Tensor::zeros({rows, wide}, DType::i64),
                    Tensor::full({rows, wide}, data::kIgnoreTarget, DType::i64), masked.count};
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t length = lengths.defined() ? lengths.data<int64_t>()[row] : columns;
    int64_t* input = made.inputs.data<int64_t>() + row * wide;
    input = std::copy(start.begin(), start.end(), input);
    const int64_t* given = masked.inputs.data<int64_t>() + row * columns;
    input = std::copy(given, given + length, input);
    std::copy(finish.begin(), finish.end(), input);
    const int64_t* target = masked.targets.data<int64_t>() + row * columns;
    std::copy(target, target + length,
              made.targets.data<int64_t>() + row * wide + std::ssize(start));
  }
  return made;
}

int64_t frame_size(const data::Tokenizer& tokenizer) {
  return std::ssize(tokenizer.start()) + std::ssize(tokenizer.finish());
}

/// Tokens of each row that are text: those with a target; one at least, for attention's sake.
Tensor lengths_of(const data::Batch& batch) {
  const std::vector<int64_t> targets = batch.targets.to_vector<int64_t>();
  const int64_t rows = batch.targets.size(0), columns = batch.targets.size(1);
  std::vector<int64_t> lengths;
  for (int64_t row = 0; row < rows; ++row) {
    const auto begin = targets.begin() + row * columns;
    lengths.push_back(std::find(begin, begin + columns, data::kIgnoreTarget) - begin);
  }
  return Tensor::from(lengths, {rows});
}

}  // namespace

void MaskedLanguageModelingOptions::options(Options& o) {
  sampling_option(o, sampling);
  o.field("masking", masking, "which tokens are predicted, and what stands in their place");
}

MaskedLanguageModeling::MaskedLanguageModeling(const Recipe& recipe, TaskUse use,
                                               const std::string& assets)
    : TextTask(recipe),
      options_(read_options<MaskedLanguageModelingOptions>(recipe.task,
                                                           "task masked_language_modeling")) {
  open_text(use, assets);
  const int64_t vocab = tokenizer().vocab_size();
  mask_id_ = find_mask(tokenizer());
  model_ = make_model(recipe_.model, std::max(vocab, mask_id_ + 1));
  const int64_t most = model_->options().context - frame_size(tokenizer());
  if (most < 1) {
    fail_request(recipe_.model.where(),
                 fmt::format("task masked_language_modeling: a context of {} has no room for more "
                             "than what the tokenizer puts around a text",
                             model_->options().context));
  }
  if (use != TaskUse::train) return;
  start_batches([windows = training_windows(most, options_.sampling), data = data_,
                 masking = options_.masking, vocab, mask = mask_id_, seed = seed(),
                 rows = rows_per_step()](int64_t step, const data::RowSlice& part) -> Batch {
    const data::Batch batch = windows(step, part);
    const RandomKey key{seed, hash_name("data/masks"), static_cast<uint64_t>(step)};
    const data::Masked masked = framed(data::mask_tokens(batch.inputs, {}, vocab, mask, masking,
                                                         key, data::rows_of(part, rows).begin),
                                       {}, *data->tokenizer);
    return {{{"inputs", masked.inputs}, {"targets", masked.targets}}, masked.count};
  });
}

Tensor MaskedLanguageModeling::loss(const Batch& batch) {
  return model_->mlm_loss(batch["inputs"], batch["targets"]);
}

Metrics MaskedLanguageModeling::evaluate(const EvaluationOptions& options,
                                         Communicator& communicator, const Progress& progress) {
  if (data_->validation.tokens.size() < 2) return {};
  const NoGrad no_grad;
  const data::EvaluationBatches batches = evaluation_windows(
      options, model_->options().context - frame_size(tokenizer()), communicator);
  const int64_t rows = evaluation_rows(options);
  double nats = 0.0, right = 0.0, count = 0.0;
  for (int64_t i = 0; i < batches.size(); ++i) {
    const data::Batch batch = batches(i);
    const Tensor lengths = lengths_of(batch);
    const int64_t first =
        i * rows + data::rows_of({communicator.rank(), communicator.size()}, rows).begin;
    const data::Masked masked =
        data::mask_tokens(batch.inputs, lengths, tokenizer().vocab_size(), mask_id_,
                          options_.masking, {0, hash_name("data/evaluation-masks"), 0}, first);
    if (masked.count > 0) {
      std::vector<int64_t> some = lengths.to_vector<int64_t>();
      for (int64_t& length : some) {
        length = std::max<int64_t>(length + frame_size(tokenizer()), 1);
      }
      const Score result =
          score(*model_, framed(masked, lengths, tokenizer()), Tensor::from(some, lengths.shape()));
      nats += result.nats;
      right += result.right;
      count += static_cast<double>(masked.count);
    }
    if (progress) progress(i + 1, batches.size());
  }
  nats = communicator.all_reduce_number(nats);
  count = communicator.all_reduce_number(count);
  Metrics metrics = likelihood_metrics(nats, static_cast<int64_t>(count));
  metrics.emplace_back("accuracy", communicator.all_reduce_number(right) / count);
  for (auto& metric : corpus_metrics()) metrics.push_back(std::move(metric));
  return metrics;
}

Metrics MaskedLanguageModeling::baselines(const EvaluationOptions& options) {
  if (options.baselines.empty() || data_->validation.tokens.size() < 2) return {};
  const data::Score unigram =
      data::Ngram(data_->train.tokens, 1).score(data_->validation.tokens, tokenizer());
  return {{"unigram.loss", unigram.bits_per_token() * std::numbers::ln2}};
}

TaskEntry masked_language_modeling_entry() {
  return {"masked_language_modeling", "predict hidden tokens of a text from both sides",
          [] { return describe_options<MaskedLanguageModelingOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<MaskedLanguageModeling>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
