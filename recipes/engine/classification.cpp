#include "recipes/engine/classification.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "autograd/ops/distribution_loss.h"
#include "autograd/ops/loss.h"
#include "core/files.h"
#include "recipes/engine/measures/confusion.h"
#include "recipes/engine/measures/ranking.h"
#include "recipes/engine/task_data.h"
#include "recipes/engine/weighed_words.h"

namespace heed::recipes {
namespace {

/// -ln softmax(logits)[label], in double.
double nats(std::span<const float> logits, int64_t label) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - top);
  return std::log(sum) + top - logits[static_cast<size_t>(label)];
}

/// Every rank's values in order of rank; the ranks may have different numbers of them.
std::vector<double> gathered(const std::vector<double>& own, Communicator& communicator) {
  if (communicator.size() == 1) return own;
  const auto count = static_cast<int64_t>(own.size());
  const auto most = static_cast<int64_t>(
      communicator.all_reduce_number(static_cast<double>(count), ReduceOp::max));
  Tensor padded = Tensor::full({most + 1}, static_cast<double>(count), DType::f64);
  std::copy(own.begin(), own.end(), padded.data<double>() + 1);
  Tensor all = Tensor::empty({communicator.size() * (most + 1)}, DType::f64);
  communicator.all_gather(padded, all);
  std::vector<double> values;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    const double* part = all.data<double>() + rank * (most + 1);
    values.insert(values.end(), part + 1, part + 1 + static_cast<int64_t>(*part));
  }
  return values;
}

}  // namespace

void ClassificationOptions::options(Options& o) {
  o.field("smoothing", smoothing, "label smoothing: this much of a target is spread evenly",
          {.min = 0, .below = 1});
  part_option(o, part);
  o.field("top_k", top_k, "the k of top-k accuracy, shown where there are more classes",
          {.min = 1});
  o.list("resolutions", resolutions, "training images of other sizes at first, in stages");
}

Classification::Classification(const Recipe& recipe, TaskUse use, const std::string& assets)
    : Classification(recipe, use, assets,
                     read_options<ClassificationOptions>(recipe.task, "task classification")) {}

Classification::Classification(const Recipe& recipe, TaskUse use, const std::string& assets,
                               const ClassificationOptions& options)
    : LabelledTask(recipe), options_(options), assets_(assets) {
  open_data(options_.part, use, assets);
  build_model(classes());
  if (use == TaskUse::train) start_labelled_batches(options_.resolutions);
}

Tensor Classification::label_loss(const Tensor& logits, const Tensor& labels) const {
  return labels.rank() == 2 ? soft_cross_entropy(logits, labels, options_.smoothing)
                            : cross_entropy(logits, labels, {.smoothing = options_.smoothing});
}

Tensor Classification::loss(const Batch& batch) {
  return label_loss(outputs(*model_, batch), batch["labels"]);
}

Metrics Classification::evaluate(const EvaluationOptions& options, Communicator& communicator,
                                 const Progress& progress) {
  const int64_t classes = model_->classes();
  const bool binary = classes == 2;
  Confusion confusion(classes);
  double loss = 0.0, in_top = 0.0;
  std::vector<double> scores, positives;  // of two classes
  const bool any =
      walk(options, communicator, progress, [&](std::span<const float> logits, int64_t label) {
        loss += nats(logits, label);
        in_top += rank_of(logits, label) < options_.top_k ? 1.0 : 0.0;
        confusion.add(label, best_of(logits));
        if (!binary) return;
        scores.push_back(static_cast<double>(logits[1]) - logits[0]);
        positives.push_back(static_cast<double>(label));
      });
  if (!any) return {};
  confusion.reduce(communicator);
  const auto count = static_cast<double>(confusion.total());
  Metrics metrics = {{"loss", communicator.all_reduce_number(loss) / count},
                     {"accuracy", confusion.accuracy()}};
  if (classes > options_.top_k) {
    metrics.emplace_back(fmt::format("top{}_accuracy", options_.top_k),
                         communicator.all_reduce_number(in_top) / count);
  }
  metrics.emplace_back("macro_f1", confusion.macro_f1());
  if (binary) {
    const std::vector<double> truth = gathered(positives, communicator);
    metrics.emplace_back("auc", roc_auc(gathered(scores, communicator),
                                        std::vector<bool>(truth.begin(), truth.end())));
  }
  return metrics;
}

Metrics Classification::baselines(const EvaluationOptions& options) {
  if (options.baselines.empty() || data_->size(evaluated_part()) == 0) return {};
  std::vector<int64_t> counts(static_cast<size_t>(data_->classes()));
  for (int64_t i = 0; i < data_->size(data::Part::train); ++i) {
    ++counts[static_cast<size_t>(data_->label(data::Part::train, i))];
  }
  const int64_t majority = std::max_element(counts.begin(), counts.end()) - counts.begin();
  Confusion confusion(data_->classes());
  for (int64_t i = 0; i < walked(options); ++i) {
    confusion.add(data_->label(evaluated_part(), i), majority);
  }
  return {{"majority.accuracy", confusion.accuracy()}, {"majority.macro_f1", confusion.macro_f1()}};
}

std::vector<std::string> Classification::write_samples(const std::string& folder,
                                                       const std::string& prefix,
                                                       const SampleOptions& options, int64_t seed) {
  if (!data_) open_data(options_.part, TaskUse::evaluate, assets_);
  if (data_->size(evaluated_part()) == 0) {
    fail_request("task classification: no held-out texts to show");
  }
  const NoGrad no_grad;
  const int64_t held_out = data_->size(evaluated_part());
  std::vector<std::string> paths;
  for (int64_t n = 0; n < options.count; ++n) {
    const data::ExampleRow row{(seed + n) % held_out, {}, false};
    const auto text =
        std::get<data::TextBatch>(data_->gather(evaluated_part(), std::span(&row, 1)));
    const Tensor logits = model_->forward(text.ids, text.lengths);
    WeighedWords sample;
    sample.label = class_names()[static_cast<size_t>(text.labels.to_vector<int64_t>()[0])];
    sample.predicted = class_names()[static_cast<size_t>(best_of(logits.to_vector<float>()))];
    for (const int64_t id : text.ids.to_vector<int64_t>())
      sample.words.emplace_back(data_->tokenizer()->token(static_cast<data::TokenId>(id)));
    const Tensor weights = model_->token_weights(text.ids, text.lengths);
    const std::vector<double> values = weights.to_vector<double>();
    const int64_t words = weights.size(2);
    for (int64_t head = 0; head < weights.size(1); ++head)
      sample.heads.emplace_back(values.begin() + head * words, values.begin() + (head + 1) * words);
    paths.push_back(
        (std::filesystem::path(folder) / fmt::format("{}-{}.json", prefix, n)).string());
    write_file_atomically(paths.back(), to_config(sample).to_json() + "\n");
  }
  return paths;
}

TaskEntry classification_entry() {
  return {"classification", "predict the class of an image or a text",
          [] { return describe_options<ClassificationOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<Classification>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
