#include "recipes/engine/restoration.h"

#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/layout.h"
#include "autograd/ops/pointwise_loss.h"
#include "autograd/ops/view.h"
#include "core/views.h"
#include "data/degradation.h"
#include "data/resample.h"
#include "nn/device_of.h"
#include "recipes/engine/batch_device.h"
#include "recipes/engine/image_data.h"
#include "recipes/engine/measures/image_quality.h"
#include "recipes/engine/task_data.h"

namespace heed::recipes {
namespace {

// 2 x - 1 of values that noise may have moved out of [0, 1].
Tensor spread(const Tensor& images) { return add(mul(images, 2.0), -1.0); }

Tensor unit(const Tensor& x) { return clamp(add(mul(x, 0.5), 0.5), 0.0, 1.0); }

// [B, h, w, C] with its sides `scale` times as long.
Tensor enlarged(const Tensor& images, int64_t scale, const std::string& interpolation) {
  if (scale == 1) return images;
  const int64_t rows = images.size(0), height = images.size(1), width = images.size(2);
  const int64_t channels = images.size(3), values = height * width * channels;
  Tensor result = Tensor::empty({rows, height * scale, width * scale, channels}, DType::f32);
  for (int64_t row = 0; row < rows; ++row) {
    data::Image image(height, width, channels);
    std::copy_n(images.data<float>() + row * values, values, image.values.begin());
    const data::Image large = data::resize(image, height * scale, width * scale, interpolation);
    std::copy(large.values.begin(), large.values.end(),
              result.data<float>() + row * values * scale * scale);
  }
  return result;
}

// `both`: "enlarged" too where the input is small.
Batch as_batch(const data::ImageBatch& pairs, int64_t scale, bool small_input, bool both) {
  const Tensor small = spread(pairs.images);
  Batch batch{{{"target", centred(pairs.labels)}}, pairs.count};
  if (small_input) batch.tensors.emplace_back("input", small);
  if (small_input && !both) return batch;
  const Tensor large = enlarged(small, scale, "bicubic");
  if (!small_input) batch.tensors.emplace_back("input", large);
  batch.tensors.emplace_back("enlarged", large);
  return batch;
}

// The square's symmetries (data/degradation.h) of [B, H, W, C].
Tensor turned(const Tensor& x, int turn) {
  Tensor y = x;
  if ((turn & 1) != 0) y = flip(y, {2});
  if ((turn & 2) != 0) y = flip(y, {1});
  return (turn & 4) != 0 ? contiguous(transpose(y, 1, 2)) : y;
}

// The middle of the first image of [B, H, W, C] in [-1, 1].
data::Image middle(const Tensor& x, int64_t height, int64_t width) {
  const data::Image whole = pictures(x, 1).front();
  return data::crop(whole, (whole.height - height) / 2, (whole.width - width) / 2, height, width);
}

}  // namespace

// Sums over images of what is measured of them.
struct Restoration::Qualities {
  double loss = 0, psnr = 0, ssim = 0, count = 0, with_ssim = 0;

  void add(const Tensor& result, const Tensor& target, const RestorationOptions& options,
           int64_t scale) {
    const int64_t border = options.border.value_or(scale > 1 ? scale : 0);
    const auto seen = [&](const Tensor& x) {
      const Tensor part = without_border(unit(x), border);
      return options.luminance && part.size(3) == 3 ? luminance(part) : part;
    };
    const Tensor a = seen(result.to(kCpu)), b = seen(target.to(kCpu));
    // A result that is exact would make the mean infinite: differences of 1e-5 count as none.
    constexpr double kBest = 100.0;
    psnr += std::min(kBest, recipes::psnr(a, b));
    constexpr int64_t kSsimWindow = 11;
    if (a.size(1) >= kSsimWindow && a.size(2) >= kSsimWindow) {
      ssim += recipes::ssim(a, b);
      ++with_ssim;
    }
    ++count;
  }

  Metrics metrics(Communicator& communicator, const std::string& prefix = "") const {
    const double all = communicator.all_reduce_number(count);
    const double measured = communicator.all_reduce_number(with_ssim);
    Metrics metrics{{prefix + "psnr", communicator.all_reduce_number(psnr) / all}};
    const double similar = communicator.all_reduce_number(ssim);
    if (measured > 0) metrics.emplace_back(prefix + "ssim", similar / measured);
    return metrics;
  }
};

void RestorationOptions::options(Options& o) {
  o.field("loss", loss, "mean of absolute (l1) or squared (mse) differences",
          {.one_of = {"l1", "mse"}});
  o.field("residual", residual,
          "the model's result is added to the input, enlarged by bicubic interpolation");
  part_option(o, part);
  o.field("luminance", luminance,
          "measure the luminance (BT.601's Y) of colour images, as the field does");
  o.field("border", border,
          "pixels on each side that are not measured; none: the scale, and 0 at a scale of 1",
          {.min = 0});
  o.field("self_ensemble", self_ensemble,
          "evaluate the mean over the square's eight symmetries (EDSR's x8 self-ensemble)");
}

Restoration::Restoration(const Recipe& recipe, TaskUse use)
    : IndexedTask(recipe),
      options_(read_options<RestorationOptions>(recipe.task, "task restoration")),
      data_(open_images(recipe.data, "restoration", {"image-pairs"})) {
  part_ = chosen_part(recipe_, options_.part, data_->size(data::Part::validation),
                      data_->size(data::Part::test), data_->summary());
  const Shape target = data_->target_shape();
  nn::ImageGeometry geometry = geometry_of(*data_);
  scale_ = target[0] / geometry.height;
  const bool enlarges = nn::enlarges(recipe.model);
  small_input_ = scale_ > 1 && enlarges;
  geometry.outputs = geometry.channels;
  if (enlarges) {
    geometry.scale = scale_;
  } else {
    geometry.height = target[0];
    geometry.width = target[1];
  }
  model_ = nn::make_image_model(recipe.model, geometry);
  if (model_->timed()) {
    fail_request(recipe.model.where(), "task restoration: the model is a denoiser, it wants times");
  }
  if (use != TaskUse::train) return;
  const data::LabelledBatchOptions batches{.batch = rows_per_step(), .seed = seed(), .slice = {}};
  start_batches(
      [batches, data = data_, scale = scale_, small = small_input_, residual = options_.residual](
          int64_t step, const data::RowSlice& part) {
        data::LabelledBatchOptions own = batches;
        own.slice = part;
        return as_batch(std::get<data::ImageBatch>(data->train_batch(step, own)), scale, small,
                        residual);
      },
      data_->workers());
}

Tensor Restoration::restored(const Batch& batch) {
  const Tensor result = cast(model_->forward(batch["input"]), DType::f32);
  return options_.residual ? add(result, batch["enlarged"]) : result;
}

Tensor Restoration::ensemble(const Batch& batch) {
  Tensor sum;
  for (int turn = 0; turn < data::kTurns; ++turn) {
    const Batch own{
        {{"input", turned(batch["input"], turn)}, {"enlarged", turned(batch["enlarged"], turn)}},
        batch.count};
    const Tensor back = turned(restored(own), data::inverse_turn(turn));
    sum = turn == 0 ? back : add(sum, back);
  }
  return mul(sum, 1.0 / data::kTurns);
}

Tensor Restoration::loss(const Batch& batch) {
  return difference(restored(batch), batch["target"]);
}

Tensor Restoration::difference(const Tensor& result, const Tensor& target) const {
  return options_.loss == "l1" ? l1_loss(result, target) : mse_loss(result, target);
}

Batch Restoration::example(int64_t index) const {
  const data::ExampleRow row{index, {}, false};
  const auto pair = std::get<data::ImageBatch>(data_->gather(part_, std::span(&row, 1)));
  return on_device(as_batch(pair, scale_, small_input_, true), nn::device_of(*model_));
}

void Restoration::walk(const EvaluationOptions& options, Communicator& communicator,
                       const Progress& progress, const std::function<void(const Batch&)>& visit) {
  int64_t examples = data_->size(part_);
  if (options.max_batches > 0) {
    examples = std::min(examples, options.max_batches * evaluation_rows(options));
  }
  for (int64_t i = communicator.rank(); i < examples; i += communicator.size()) {
    visit(example(i));
    if (progress) progress(i + 1, examples);
  }
}

Metrics Restoration::evaluate(const EvaluationOptions& options, Communicator& communicator,
                              const Progress& progress) {
  if (data_->size(part_) == 0) return {};
  const NoGrad no_grad;
  Qualities sums;
  walk(options, communicator, progress, [&](const Batch& batch) {
    const Tensor result = options_.self_ensemble ? ensemble(batch) : restored(batch);
    const Tensor& target = batch["target"];
    sums.loss += difference(result, target).item();
    sums.add(result, target, options_, scale_);
  });
  Metrics metrics{{"loss", communicator.all_reduce_number(sums.loss) /
                               communicator.all_reduce_number(sums.count)}};
  for (auto& metric : sums.metrics(communicator)) metrics.push_back(std::move(metric));
  return metrics;
}

Metrics Restoration::baselines(const EvaluationOptions& options) {
  if (options.baselines.empty() || data_->size(part_) == 0) return {};
  const NoGrad no_grad;
  const std::unique_ptr<Communicator> alone = self_communicator();
  Qualities sums;
  walk(options, *alone, {},
       [&](const Batch& batch) { sums.add(batch["enlarged"], batch["target"], options_, scale_); });
  return sums.metrics(*alone, "interpolation.");
}

std::vector<std::string> Restoration::write_samples(const std::string& folder,
                                                    const std::string& prefix,
                                                    const SampleOptions& options, int64_t seed) {
  const NoGrad no_grad;
  const int64_t held_out = data_->size(part_);
  if (held_out == 0) fail_request("task restoration: no held-out images to show");
  std::vector<Batch> examples;
  int64_t height = 128, width = 128;
  for (int64_t n = 0; n < options.count; ++n) {
    examples.push_back(example((seed + n) % held_out));
    height = std::min(height, examples.back()["target"].size(1));
    width = std::min(width, examples.back()["target"].size(2));
  }
  std::vector<data::Image> shown;
  for (const Batch& batch : examples) {
    for (const Tensor& x : {batch["enlarged"], restored(batch), batch["target"]}) {
      shown.push_back(middle(spread(unit(x)), height, width));
    }
  }
  constexpr int64_t kExamplesInARow = 2;
  return {write_grid(folder, prefix, shown, 3 * std::min(options.count, kExamplesInARow))};
}

TaskEntry restoration_entry() {
  return {"restoration", "make an image of a smaller, noisy or otherwise worse one",
          [] { return describe_options<RestorationOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string&) {
            return std::make_unique<Restoration>(recipe, use);
          }};
}

}  // namespace heed::recipes
