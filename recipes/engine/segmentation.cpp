#include "recipes/engine/segmentation.h"

#include <cmath>

#include "autograd/ops/loss.h"
#include "autograd/ops/reduce.h"
#include "core/views.h"
#include "nn/device_of.h"
#include "recipes/engine/image_data.h"
#include "recipes/engine/measures/confusion.h"

namespace heed::recipes {
namespace {

// Classes in colours: the ground black, the others round the colour circle.
data::Image coloured(const Tensor& labels, int64_t height, int64_t width, int64_t classes) {
  data::Image image(height, width, 3);
  const std::vector<int64_t> values = labels.to_vector<int64_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] <= 0) continue;
    const double turn =
        static_cast<double>(values[i] - 1) / static_cast<double>(std::max<int64_t>(1, classes - 1));
    for (int c = 0; c < 3; ++c) {
      const double wave = std::cos(2 * M_PI * (turn - c / 3.0));
      image.values[3 * i + static_cast<size_t>(c)] = static_cast<float>(0.55 + 0.45 * wave);
    }
  }
  return image;
}

int64_t counted(const Tensor& labels) {
  int64_t count = 0;
  for (const int64_t label : labels.to_vector<int64_t>()) count += label != data::kIgnoreTarget;
  return count;
}

}  // namespace

void SegmentationOptions::options(Options& o) {
  o.field("smoothing", smoothing, "label smoothing: this much of a target is spread evenly",
          {.min = 0, .below = 1});
}

Segmentation::Segmentation(const Recipe& recipe, TaskUse use)
    : IndexedTask(recipe),
      options_(read_options<SegmentationOptions>(recipe.task, "task segmentation")),
      data_(open_images(recipe.data, "segmentation", {"masks"})) {
  nn::ImageGeometry geometry = geometry_of(*data_);
  geometry.outputs = data_->classes();
  model_ = nn::make_image_model(recipe.model, geometry);
  if (model_->timed()) {
    fail_request(recipe.model.where(),
                 "task segmentation: the model is a denoiser, it wants times");
  }
  if (use != TaskUse::train) return;
  const data::LabelledBatchOptions batches{.batch = rows_per_step(), .seed = seed(), .slice = {}};
  start_batches(
      [batches, data = data_](int64_t step, const data::RowSlice& part) {
        data::LabelledBatchOptions own = batches;
        own.slice = part;
        const auto images = std::get<data::ImageBatch>(data->train_batch(step, own));
        return Batch{{{"images", centred(images.images)}, {"labels", images.labels}},
                     counted(images.labels)};
      },
      data_->workers());
}

Tensor Segmentation::loss(const Batch& batch) {
  return cross_entropy(model_->forward(batch["images"]), batch["labels"],
                       {.smoothing = options_.smoothing});
}

Metrics Segmentation::evaluate(const EvaluationOptions& options, Communicator& communicator,
                               const Progress& progress) {
  if (data_->size(data::Part::validation) == 0) return {};
  const NoGrad no_grad;
  const int64_t rows = evaluation_rows(options);
  const data::LabelledBatchOptions shape{
      .batch = rows, .seed = 0, .slice = {communicator.rank(), communicator.size()}};
  int64_t batches = data_->evaluation_batches(data::Part::validation, rows);
  if (options.max_batches > 0) batches = std::min(batches, options.max_batches);
  Confusion confusion(data_->classes());
  double sum = 0.0, count = 0.0;
  for (int64_t i = 0; i < batches; ++i) {
    const auto images =
        std::get<data::ImageBatch>(data_->evaluation_batch(data::Part::validation, i, shape));
    if (images.count > 0) {
      const Tensor labels = views::slice(images.labels, 0, 0, images.count);
      const Tensor pixels = centred(views::slice(images.images, 0, 0, images.count));
      const Tensor logits = model_->forward(pixels.to(nn::device_of(*model_)));
      sum += cross_entropy(logits, labels, {.reduction = Reduction::sum}).item();
      count += static_cast<double>(counted(labels));
      const std::vector<int64_t> found = argmax(logits, -1).to_vector<int64_t>();
      const std::vector<int64_t> truth = labels.to_vector<int64_t>();
      for (size_t p = 0; p < truth.size(); ++p) {
        if (truth[p] != data::kIgnoreTarget) confusion.add(truth[p], found[p]);
      }
    }
    if (progress) progress(i + 1, batches);
  }
  confusion.reduce(communicator);
  return {{"loss", communicator.all_reduce_number(sum) / communicator.all_reduce_number(count)},
          {"pixel_accuracy", confusion.accuracy()},
          {"mean_iou", confusion.mean_iou()}};
}

std::vector<std::string> Segmentation::write_samples(const std::string& folder,
                                                     const std::string& prefix,
                                                     const SampleOptions& options, int64_t seed) {
  const NoGrad no_grad;
  const int64_t held_out = data_->size(data::Part::validation);
  if (held_out == 0) fail_request("task segmentation: no held-out images to show");
  std::vector<data::Image> shown;
  for (int64_t n = 0; n < options.count; ++n) {
    const data::ExampleRow row{(seed + n) % held_out, {}, false};
    const auto example =
        std::get<data::ImageBatch>(data_->gather(data::Part::validation, std::span(&row, 1)));
    const Tensor x = centred(example.images);
    shown.push_back(pictures(x, 1).front());
    const Tensor found = argmax(model_->forward(x.to(nn::device_of(*model_))), -1);
    for (const Tensor& labels : {example.labels, found}) {
      shown.push_back(coloured(labels, x.size(1), x.size(2), data_->classes()));
    }
  }
  constexpr int64_t kExamplesInARow = 4;
  return {write_grid(folder, prefix, shown, 3 * std::min(options.count, kExamplesInARow))};
}

TaskEntry segmentation_entry() {
  return {"segmentation", "tell the class of every pixel",
          [] { return describe_options<SegmentationOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string&) {
            return std::make_unique<Segmentation>(recipe, use);
          }};
}

}  // namespace heed::recipes
