#include "recipes/engine/language_modeling.h"

#include <algorithm>
#include <numbers>

#include "data/ngram.h"
#include "data/registry.h"
#include "nn/models/image_reader.h"
#include "recipes/engine/answer_modeling.h"
#include "recipes/engine/image_prompt.h"
#include "recipes/engine/measures/likelihood.h"
#include "recipes/engine/sequence_modeling.h"
#include "recipes/engine/task_data.h"
#include "recipes/engine/text_generator.h"

namespace heed::recipes {
namespace {

// "synthetic", "pairs" or another kind of dataset; "text" where the type is left out.
std::string kind_of(const Config& data) {
  const Config* type = data.find("type");
  if (type == nullptr || !type->is_string()) return "text";
  return data::find_dataset(type->as_string(), type->where()).kind;
}

// Options that mean nothing with data of this kind are errors.
void check_options(const Recipe& recipe, const LanguageModelingOptions& options,
                   const std::string& kind) {
  if (options.sampling != "random" && (kind == "pairs" || kind == "synthetic")) {
    fail_request(recipe.task.at("sampling").where(),
                 fmt::format("task language_modeling: `sampling` is of the windows of a text, and "
                             "the data are {}",
                             kind));
  }
  if (options.part == "test" && kind != "pairs") {
    fail_request(recipe.task.at("part").where(),
                 fmt::format("task language_modeling: the data ({}) have no test part", kind));
  }
}

}  // namespace

void LanguageModelingOptions::options(Options& o) {
  sampling_option(o, sampling);
  part_option(o, part);
}

LanguageModeling::LanguageModeling(const Recipe& recipe, TaskUse use, const std::string& assets,
                                   const LanguageModelingOptions& options)
    : TextTask(recipe) {
  open_text(use, assets);
  model_ = nn::make_language_model(recipe_.model, tokenizer().vocab_size());
  if (use != TaskUse::train) return;
  const data::WindowOptions window = training_windows(model_->context(), options.sampling);
  start_batches([data = data_, window](int64_t step, const data::RowSlice& part) -> Batch {
    data::WindowOptions own = window;
    own.slice = part;
    data::Batch batch = data::WindowBatches(data->train.tokens, own)(step);
    return {{{"inputs", batch.inputs}, {"targets", batch.targets}}, batch.count};
  });
}

Tensor LanguageModeling::loss(const Batch& batch) {
  return model_->loss(batch["inputs"], batch["targets"]);
}

Metrics LanguageModeling::evaluate(const EvaluationOptions& options, Communicator& communicator,
                                   const Progress& progress) {
  const data::Split& split = data_->validation;
  if (split.tokens.size() < 2) return {};
  const data::EvaluationBatches batches =
      evaluation_windows(options, model_->context(), communicator);
  double nats = 0.0;
  for (int64_t i = 0; i < batches.size(); ++i) {
    const data::Batch batch = batches(i);
    if (batch.count > 0) {
      for (const double row : model_->loss_rows(batch.inputs, batch.targets).to_vector<double>()) {
        nats += row;
      }
    }
    if (progress) progress(i + 1, batches.size());
  }
  nats = communicator.all_reduce_number(nats);
  const int64_t tokens = batches.predicted();
  const int64_t bytes = data::text_bytes(split.tokens, tokenizer(), 1, tokens);
  return likelihood_metrics(nats, tokens, bytes);
}

Metrics LanguageModeling::baselines(const EvaluationOptions& options) {
  Metrics metrics;
  if (data_->validation.tokens.size() < 2) return metrics;
  for (const std::string& name : options.baselines) {
    const auto order = static_cast<int>(name == "unigram" ? 1 : options.ngram_order);
    const std::string label = name == "unigram" ? name : fmt::format("{}-gram", order);
    const data::Score score =
        data::Ngram(data_->train.tokens, order).score(data_->validation.tokens, tokenizer());
    metrics.emplace_back(label + ".loss", score.bits_per_token() * std::numbers::ln2);
    metrics.emplace_back(label + ".bits_per_byte", score.bits_per_byte());
  }
  return metrics;
}

Generated LanguageModeling::generate(const std::string& prompt, const GenerateOptions& options,
                                     const TokenCallback& on_token) {
  return generate_text(*model_, tokenizer(), prompt, options, on_token);
}

Generated LanguageModeling::generate_about(const std::string& image, const std::string& assets,
                                           const std::string& prompt,
                                           const GenerateOptions& options,
                                           const TokenCallback& on_token) {
  const auto* reader = dynamic_cast<const nn::ImageReader*>(model_.get());
  if (reader == nullptr) fail_request("generate: this model reads no images");
  const Tensor read = read_image_prompt(image, assets, reader->image_shape());
  return generate_text(*model_, tokenizer(), prompt, read, options, on_token);
}

double LanguageModeling::flops_per_row() {
  return model_->flops_per_token(model_->context()) * static_cast<double>(model_->context());
}

int64_t LanguageModeling::activation_bytes() {
  // Two short sequences instead of whole rows: what is kept is fixed + per token.
  const auto kept = [this](int64_t tokens) {
    const Tensor ids = Tensor::zeros({1, tokens}, DType::i64);
    return kept_bytes([&] { return model_->loss(ids, ids); });
  };
  constexpr int64_t kLongest = 256;
  const int64_t most = std::min(model_->context(), kLongest);
  const int64_t few = std::max<int64_t>(1, most / 2);
  if (most == few) return kept(most) * recipe_.train.batch_size;
  return on_line(few, kept(few), most, kept(most), recipe_.train.batch_size * model_->context());
}

TaskEntry language_modeling_entry() {
  return {
      "language_modeling", "predict the next token of a text",
      [] { return describe_options<LanguageModelingOptions>(); },
      [](const Recipe& recipe, TaskUse use, const std::string& assets) -> std::unique_ptr<Task> {
        const auto options =
            read_options<LanguageModelingOptions>(recipe.task, "task language_modeling");
        const std::string kind = kind_of(recipe.data);
        check_options(recipe, options, kind);
        if (kind == "synthetic") return std::make_unique<SequenceModeling>(recipe, use);
        if (kind == "pairs") {
          return std::make_unique<AnswerModeling>(recipe, use, assets, options.part);
        }
        return std::make_unique<LanguageModeling>(recipe, use, assets, options);
      }};
}

}  // namespace heed::recipes
