#include "recipes/engine/regression.h"

#include <charconv>
#include <cmath>
#include <filesystem>

#include "autograd/ops/pointwise_loss.h"
#include "core/files.h"
#include "recipes/engine/measures/error_sums.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;

std::string targets_file(const std::string& assets) {
  return (fs::path(assets) / "targets.json").string();
}

double number_of(const std::string& name, const SourceLocation& where) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), value);
  if (error != std::errc() || end != name.data() + name.size() || !std::isfinite(value)) {
    fail_request(where, fmt::format("task regression: the class '{}' is no number; give `targets`, "
                                    "one for each class",
                                    name));
  }
  return value;
}

/// What the loss makes of one error.
double loss_of(const std::string& loss, double error) {
  const double size = std::abs(error);
  if (loss == "l1") return size;
  if (loss == "huber") return size <= 1.0 ? 0.5 * size * size : size - 0.5;
  return size * size;
}

}  // namespace

void RegressionOptions::options(Options& o) {
  o.field("loss", loss, "mean squared error, mean absolute error, or Huber's with delta 1",
          {.one_of = {"mse", "l1", "huber"}});
  o.field("targets", targets,
          "the number of each class, in order; empty: the classes' names are the numbers");
  part_option(o, part);
}

Regression::Regression(const Recipe& recipe, TaskUse use, const std::string& assets)
    : LabelledTask(recipe),
      options_(read_options<RegressionOptions>(recipe.task, "task regression")) {
  open_data(options_.part, use, assets);
  read_targets();
  build_model(1);
  if (!assets.empty() && fs::exists(targets_file(assets))) {
    const Config saved = read_json_file(targets_file(assets));
    mean_ = saved.at("mean").as_number();
    std_ = saved.at("std").as_number();
  } else {
    measure_scale();
  }
  if (use == TaskUse::train) start_labelled_batches();
}

void Regression::read_targets() {
  if (options_.targets.empty()) {
    for (const std::string& name : class_names()) {
      targets_.push_back(number_of(name, recipe_.data.where()));
    }
    return;
  }
  if (static_cast<int64_t>(options_.targets.size()) != classes()) {
    fail_request(recipe_.task.at("targets").where(),
                 fmt::format("task regression: {} targets, but the data has {} classes",
                             options_.targets.size(), classes()));
  }
  targets_ = options_.targets;
}

void Regression::measure_scale() {
  const int64_t examples = data_->size(data::Part::train);
  std::vector<double> counts(targets_.size());
  for (int64_t i = 0; i < examples; ++i) {
    counts[static_cast<size_t>(data_->label(data::Part::train, i))] += 1.0;
  }
  const auto weighted_mean = [&](auto&& value) {
    double sum = 0.0;
    for (size_t c = 0; c < targets_.size(); ++c) sum += counts[c] * value(targets_[c]);
    return sum / static_cast<double>(examples);
  };
  mean_ = weighted_mean([](double target) { return target; });
  std_ = std::sqrt(weighted_mean([&](double t) { return (t - mean_) * (t - mean_); }));
  if (!(std_ > 0.0)) {
    fail_request(recipe_.data.where(), "task regression: the training targets are all equal");
  }
}

Tensor Regression::standardised(const Tensor& given) const {
  const Tensor labels = given.to(kCpu);
  const int64_t rows = labels.size(0), width = labels.rank() == 2 ? labels.size(1) : 1;
  Tensor result = Tensor::empty({rows, 1});
  for (int64_t row = 0; row < rows; ++row) {
    double target = 0.0;
    if (labels.rank() == 1) {
      target = targets_[static_cast<size_t>(labels.data<int64_t>()[row])];
    } else {
      for (int64_t c = 0; c < width; ++c) {
        target += targets_[static_cast<size_t>(c)] * labels.data<float>()[row * width + c];
      }
    }
    result.data<float>()[row] = static_cast<float>((target - mean_) / std_);
  }
  return result;
}

Tensor Regression::loss(const Batch& batch) {
  const Tensor predicted = outputs(*model_, batch);
  const Tensor target = standardised(batch["labels"]).to(predicted.device());
  if (options_.loss == "l1") return l1_loss(predicted, target);
  return options_.loss == "huber" ? huber_loss(predicted, target) : mse_loss(predicted, target);
}

Metrics Regression::evaluate(const EvaluationOptions& options, Communicator& communicator,
                             const Progress& progress) {
  ErrorSums errors(mean_);
  double loss = 0.0;
  const bool any =
      walk(options, communicator, progress, [&](std::span<const float> output, int64_t label) {
        const double target = targets_[static_cast<size_t>(label)];
        loss += loss_of(options_.loss, output[0] - (target - mean_) / std_);
        errors.add(mean_ + std_ * output[0], target);
      });
  if (!any) return {};
  errors.reduce(communicator);
  const auto count = static_cast<double>(walked(options));
  return {{"loss", communicator.all_reduce_number(loss) / count},
          {"rmse", errors.rmse()},
          {"mae", errors.mae()},
          {"r2", errors.r2()}};
}

Metrics Regression::baselines(const EvaluationOptions& options) {
  if (options.baselines.empty() || data_->size(evaluated_part()) == 0) return {};
  ErrorSums errors(mean_);
  for (int64_t i = 0; i < walked(options); ++i) {
    errors.add(mean_, targets_[static_cast<size_t>(data_->label(evaluated_part(), i))]);
  }
  return {{"mean.rmse", errors.rmse()}, {"mean.mae", errors.mae()}, {"mean.r2", errors.r2()}};
}

std::vector<std::string> Regression::save_assets(const std::string& folder) {
  std::vector<std::string> paths = LabelledTask::save_assets(folder);
  Config scale = Config::map();
  scale.set("mean", mean_);
  scale.set("std", std_);
  write_file_atomically(targets_file(folder), scale.to_json(2) + "\n");
  paths.push_back(targets_file(folder));
  return paths;
}

TaskEntry regression_entry() {
  return {"regression", "predict a number for an image or a text",
          [] { return describe_options<RegressionOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string& assets) {
            return std::make_unique<Regression>(recipe, use, assets);
          }};
}

}  // namespace heed::recipes
