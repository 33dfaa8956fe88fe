#include "recipes/engine/denoising.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/pointwise_loss.h"
#include "autograd/ops/view.h"
#include "core/views.h"
#include "kernels/random/fill.h"
#include "nn/device_of.h"
#include "recipes/engine/image_data.h"

namespace heed::recipes {
namespace {

// One image, its noise drawn by `key`, at time t.
struct Rows {
  explicit Rows(const Tensor& clean)
      : x0(clean), x(Tensor::empty(clean.shape())), target(Tensor::empty(clean.shape())) {}

  void fill(int64_t row, double t, const RandomKey& key, const nn::DiffusionProcess& process) {
    const int64_t size = x0.numel() / x0.size(0);
    Tensor noise = Tensor::empty({size});
    kernels::fill_normal(noise, 0.0, 1.0, key);
    process.noise_and_target(process.level(t), x0.data<float>() + row * size, noise.data<float>(),
                             size, x.data<float>() + row * size, target.data<float>() + row * size);
    times.push_back(static_cast<float>(nn::DiffusionProcess::network_time(t)));
  }
  Tensor time_tensor() const { return Tensor::from(times, {static_cast<int64_t>(times.size())}); }

  Tensor x0, x, target;
  std::vector<float> times;
};

Tensor labels_of(const data::ImageBatch& batch) {
  HEED_CHECK(!is_floating(batch.labels.dtype()),
             "task denoising: mixed images (mixup, cutmix) have no class to depend on");
  return batch.labels;
}

}  // namespace

void DenoisingOptions::options(Options& o) {
  diffusion.options(o);
  o.field("conditional", conditional, "the model is told the class of what it is to make");
  o.field("evaluation_times", evaluation_times,
          "evenly spaced times at which each held-out example is measured", {.min = 1});
  o.field("sampler", sampler, "how samples are drawn");
}

Denoising::Denoising(const Recipe& recipe, TaskUse use)
    : IndexedTask(recipe),
      options_(read_options<DenoisingOptions>(recipe.task, "task denoising")),
      process_(options_.diffusion) {
  nn::ImageGeometry geometry;
  if (use != TaskUse::generate) {
    data_ = open_images(recipe.data, "denoising", {"images", "clips"});
    geometry = geometry_of(*data_);
    geometry.outputs = geometry.channels;
    if (options_.conditional) geometry.classes = data_->classes();
  }
  geometry.timed = true;
  model_ = nn::make_image_model(recipe.model, geometry);
  const nn::ImageGeometry own = model_->geometry();
  if (own.outputs != own.channels) {
    fail_request(recipe.model.where(),
                 fmt::format("task denoising: the model makes {} channels of {}", own.outputs,
                             own.channels));
  }
  if (options_.sampler.guidance != 1.0 && (own.classes == 0 || !model_->unconditional())) {
    fail_request(recipe.task.where(),
                 "task denoising: guidance needs a conditional model with a class_dropout above 0");
  }
  if (use != TaskUse::train) return;
  data::LabelledBatchOptions batches{.batch = rows_per_step(), .seed = seed(), .slice = {}};
  start_batches(
      [batches, data = data_, process = process_, conditional = options_.conditional](
          int64_t step, const data::RowSlice& part) {
        data::LabelledBatchOptions mine = batches;
        mine.slice = part;
        const auto images = std::get<data::ImageBatch>(data->train_batch(step, mine));
        const int64_t first = data::rows_of(part, batches.batch).begin;
        const RandomKey key{batches.seed, hash_name("denoising"), static_cast<uint64_t>(step)};
        Rows rows(centred(images.images));
        for (int64_t row = 0; row < images.count; ++row) {
          const RandomKey own_key = key.derive(static_cast<uint64_t>(first + row));
          const double u = static_cast<double>(RandomStream(own_key.derive("time")).uniform(0));
          rows.fill(row, process.time_of(u), own_key.derive("noise"), process);
        }
        Batch batch{{{"x", rows.x}, {"target", rows.target}, {"times", rows.time_tensor()}},
                    images.count};
        if (conditional) batch.tensors.emplace_back("labels", labels_of(images));
        return batch;
      },
      data_->workers());
}

Tensor Denoising::loss(const Batch& batch) {
  const Tensor labels = options_.conditional ? batch["labels"] : Tensor();
  const Tensor prediction = model_->forward(batch["x"], batch["times"], labels);
  return mse_loss(cast(prediction, DType::f32), batch["target"]);
}

Metrics Denoising::evaluate(const EvaluationOptions& options, Communicator& communicator,
                            const Progress& progress) {
  if (data_->size(data::Part::validation) == 0) return {};
  const NoGrad no_grad;
  const int64_t rows = evaluation_rows(options);
  const data::LabelledBatchOptions shape{
      .batch = rows, .seed = 0, .slice = {communicator.rank(), communicator.size()}};
  int64_t batches = data_->evaluation_batches(data::Part::validation, rows);
  if (options.max_batches > 0) batches = std::min(batches, options.max_batches);
  const int64_t first_of_rank = data::rows_of(shape.slice, rows).begin;
  double sum = 0.0, count = 0.0;
  for (int64_t i = 0; i < batches; ++i) {
    const auto images =
        std::get<data::ImageBatch>(data_->evaluation_batch(data::Part::validation, i, shape));
    if (images.count > 0) {
      const Tensor x0 = centred(views::slice(images.images, 0, 0, images.count));
      Tensor labels;
      if (options_.conditional) labels = views::slice(labels_of(images), 0, 0, images.count);
      for (int64_t k = 0; k < options_.evaluation_times; ++k) {
        const double u =
            (static_cast<double>(k) + 0.5) / static_cast<double>(options_.evaluation_times);
        const RandomKey key{0, hash_name("denoising/evaluation"), static_cast<uint64_t>(k)};
        Rows noisy(x0);
        for (int64_t row = 0; row < images.count; ++row) {
          const int64_t example = i * rows + first_of_rank + row;
          noisy.fill(row, process_.time_of(u), key.derive(static_cast<uint64_t>(example)),
                     process_);
        }
        const Device device = nn::device_of(*model_);
        const Tensor prediction =
            model_->forward(noisy.x.to(device), noisy.time_tensor().to(device), labels);
        const double loss = mse_loss(cast(prediction, DType::f32), noisy.target.to(device)).item();
        sum += loss * static_cast<double>(images.count);
        count += static_cast<double>(images.count);
      }
    }
    if (progress) progress(i + 1, batches);
  }
  return {{"loss", communicator.all_reduce_number(sum) / communicator.all_reduce_number(count)}};
}

Tensor Denoising::sample(int64_t count, int64_t seed) {
  const nn::ImageGeometry g = model_->geometry();
  const RandomKey key{static_cast<uint64_t>(seed), hash_name("denoising/samples"), 0};
  const int64_t at_once = std::max<int64_t>(1, recipe_.train.batch_size);
  std::vector<Tensor> parts;
  for (int64_t first = 0; first < count; first += at_once) {
    const int64_t rows = std::min(at_once, count - first);
    Shape shape{rows, g.height, g.width, g.channels};
    if (clips()) shape = {rows, g.frames, g.height, g.width, g.channels};
    Tensor labels;
    if (options_.conditional) {
      std::vector<int64_t> classes;
      for (int64_t row = 0; row < rows; ++row) classes.push_back((first + row) % g.classes);
      labels = Tensor::from(classes, {rows});
    }
    parts.push_back(nn::sample(
        process_, options_.sampler, shape, key,
        [&](const Tensor& x, const Tensor& times, bool with_labels) {
          const Device device = nn::device_of(*model_);  // the sampler's steps are the host's
          return model_->forward(x.to(device), times.to(device), with_labels ? labels : Tensor())
              .to(kCpu);
        },
        first));
  }
  const NoGrad no_grad;
  return concat(parts, 0);
}

std::vector<std::string> Denoising::write_samples(const std::string& folder,
                                                  const std::string& prefix,
                                                  const SampleOptions& options, int64_t seed) {
  const Tensor samples = sample(options.count, seed);
  const int64_t columns =
      clips() ? model_->geometry().frames
              : static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(options.count))));
  return {write_grid(folder, prefix, pictures(samples, options.count), columns)};
}

TaskEntry denoising_entry() {
  return {"denoising",
          "tell noise from images or clips, to make new ones (diffusion, flow matching)",
          [] { return describe_options<DenoisingOptions>(); },
          [](const Recipe& recipe, TaskUse use, const std::string&) {
            return std::make_unique<Denoising>(recipe, use);
          }};
}

}  // namespace heed::recipes
