#include "recipes/engine/language_modeling.h"

#include <algorithm>
#include <numbers>

#include "data/ngram.h"
#include "data/registry.h"
#include "nn/extra_losses.h"
#include "nn/models/image_reader.h"
#include "recipes/engine/answer_modeling.h"
#include "recipes/engine/image_prompt.h"
#include "recipes/engine/measures/likelihood.h"
#include "recipes/engine/picture_modeling.h"
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
  const bool examples = kind == "pairs" || kind == "synthetic" || kind == "image-texts";
  if (options.sampling != "random" && examples) {
    fail_request(recipe.task.at("sampling").where(),
                 fmt::format("task language_modeling: `sampling` is of the windows of a text, and "
                             "the data are {}",
                             kind));
  }
  if (options.documents != "joined" && examples) {
    fail_request(recipe.task.at("documents").where(),
                 fmt::format("task language_modeling: `documents` are of a text, and the data are "
                             "{}: each example is a row of its own",
                             kind));
  }
  if (options.documents == "joined" && options.positions != "document") {
    fail_request(recipe.task.at("positions").where(),
                 "task language_modeling: `positions` are of documents kept apart");
  }
  if (!options.curriculum.empty() &&
      (kind == "pairs" || kind == "image-texts" || kind == "synthetic")) {
    fail_request(recipe.task.at("curriculum").where(),
                 fmt::format("task language_modeling: a `curriculum` is of the windows of a text, "
                             "and the data are {}",
                             kind));
  }
  if (options.part == "test" && kind != "pairs" && kind != "image-texts") {
    fail_request(recipe.task.at("part").where(),
                 fmt::format("task language_modeling: the data ({}) have no test part", kind));
  }
}

}  // namespace

void LanguageModelingOptions::options(Options& o) {
  sampling_option(o, sampling);
  part_option(o, part);
  o.field(
      "documents", documents,
      "windows hold what follows in the text, borders of documents or not: joined; or attention "
      "and loss end at the borders: apart",
      {.one_of = {"joined", "apart"}});
  o.field("freeze", freeze,
          "pictures with words: globs over the names of modules that do not learn; [] for none");
  o.field(
      "positions", positions,
      "with documents apart, positions count from each document's first token in the window, or "
      "from the window's",
      {.one_of = {"document", "window"}});
  o.list("curriculum", curriculum,
         "shorter sequences at first, in stages; a step has as many tokens in all of them");
}

LanguageModeling::LanguageModeling(const Recipe& recipe, TaskUse use, const std::string& assets,
                                   const LanguageModelingOptions& options)
    : TextTask(recipe), options_(options) {
  open_text(use, assets);
  model_ = nn::make_language_model(recipe_.model, tokenizer().vocab_size());
  if (const std::string why = apart() ? model_->cannot_pack() : ""; !why.empty()) {
    fail_request(recipe.task.at("documents").where(),
                 fmt::format("task language_modeling: documents: apart: {}", why));
  }
  if (use != TaskUse::train) return;
  start_batches([windows = training_windows(model_->context(), options.sampling, apart(),
                                            options.curriculum)](
                    int64_t step, const data::RowSlice& part) -> Batch {
    data::Batch from = windows(step, part);
    Batch batch{{{"inputs", from.inputs}, {"targets", from.targets}}, from.count};
    if (from.documents.defined()) batch.tensors.emplace_back("documents", from.documents);
    return batch;
  });
}

Tensor LanguageModeling::loss(const Batch& batch) {
  const Tensor* documents = batch.find("documents");
  return model_->loss(batch["inputs"], batch["targets"],
                      documents == nullptr ? nn::PackedDocuments{} : packed(*documents));
}

Metrics LanguageModeling::evaluate(const EvaluationOptions& options, Communicator& communicator,
                                   const Progress& progress) {
  const data::Split& split = data_->validation;
  if (split.tokens.size() < 2) return {};
  const data::EvaluationBatches batches =
      evaluation_windows(options, model_->context(), communicator, apart());
  double nats = 0.0, extra = 0.0, rows = 0.0;
  int64_t predicted = 0, predicted_bytes = 0;  // of this rank, with documents apart
  for (int64_t i = 0; i < batches.size(); ++i) {
    const data::Batch batch = batches(i);
    if (batch.count > 0) {
      const nn::ExtraLosses added;
      for (const double row :
           model_->loss_rows(batch.inputs, batch.targets, packed(batch.documents))
               .to_vector<double>()) {
        nats += row;
      }
      const auto of_batch = static_cast<double>(batch.inputs.size(0));
      if (added.sum().defined()) {
        extra += of_batch * added.sum().item();
        rows += of_batch;
      }
    }
    if (apart()) {
      std::vector<data::TokenId> targets;
      for (const int64_t target : batch.targets.to_vector<int64_t>()) {
        if (target != data::kIgnoreTarget) targets.push_back(static_cast<data::TokenId>(target));
      }
      predicted += std::ssize(targets);
      predicted_bytes += tokenizer().text_bytes(targets);
    }
    if (progress) progress(i + 1, batches.size());
  }
  nats = communicator.all_reduce_number(nats);
  extra = communicator.all_reduce_number(extra);
  rows = communicator.all_reduce_number(rows);
  const auto sum = [&](int64_t own) {
    return static_cast<int64_t>(communicator.all_reduce_number(static_cast<double>(own)));
  };
  const int64_t tokens = apart() ? sum(predicted) : batches.predicted();
  const int64_t bytes =
      apart() ? sum(predicted_bytes) : data::text_bytes(split.tokens, tokenizer(), 1, tokens);
  Metrics metrics = likelihood_metrics(nats, tokens, bytes);
  if (rows > 0.0) metrics.emplace_back("extra_loss", extra / rows);
  for (auto& metric : corpus_metrics()) metrics.push_back(std::move(metric));
  return metrics;
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
  return generate_text(*model_, tokenizer(), prompt, read, tokenizer().end_of_text(), options,
                       on_token);
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
        if (kind == "image-texts") {
          return std::make_unique<PictureModeling>(recipe, use, assets, options.part,
                                                   options.freeze);
        }
        return std::make_unique<LanguageModeling>(recipe, use, assets, options);
      }};
}

}  // namespace heed::recipes
