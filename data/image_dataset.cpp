#include "data/image_dataset.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "data/hold_out.h"
#include "data/mix.h"

namespace heed::data {

void ImageOptions::options(Options& o) {
  o.list("transforms", transforms, "what happens to a training image, in this order");
  o.list("evaluation_transforms", evaluation_transforms,
         "what happens to an image in evaluation; empty: those of `transforms` that draw nothing");
  o.field("hold_out", hold_out,
          "fraction of the training images held out, where no validation part is given",
          {.min = 0, .below = 1});
  o.field("hold_out_classes", hold_out_classes,
          "fraction of the classes held out with all their images, where no validation part is "
          "given: for tasks that are measured on classes they never saw",
          {.min = 0, .below = 1});
  o.check(hold_out == 0 || hold_out_classes == 0, "hold_out_classes",
          "either images are held out or classes");
  o.field("channels", channels, "1 or 3 converts to grey or RGB; 0 keeps what the files have",
          {.min = 0, .max = 3});
  o.check(channels != 2, "channels", "channels must be 0, 1 or 3");
  o.field("classes", classes, "names of the classes in the order of their numbers");
  o.field("mixup", mixup, "alpha of mixup's Beta(alpha, alpha) (arXiv 1710.09412); 0 for none",
          {.min = 0});
  o.field("cutmix", cutmix, "alpha of CutMix's (arXiv 1905.04899); with mixup: either, by a coin",
          {.min = 0});
  o.field("mix_probability", mix_probability, "part of the batches that are mixed",
          {.min = 0, .max = 1});
  o.field("repeats", repeats,
          "how often a training image comes in a row, transformed anew each time (arXiv "
          "1901.09335); an epoch is as many times longer",
          {.min = 1, .max = 64});
  o.field("cache_bytes", cache_bytes,
          "keep decoded images of one size in memory when all fit in so many bytes", {.min = 0});
  o.field("workers", workers,
          "threads that decode and transform ahead of the training; batches are the same with any",
          {.min = 1, .max = 64});
}

ImageDataset::ImageDataset(ImageSources sources, const ImageOptions& options,
                           std::vector<std::string> class_names, const SourceLocation& where)
    : options_(options) {
  if (sources.train == nullptr || sources.train->size() == 0) {
    fail_request(where, "there are no images to train on");
  }
  if (options_.evaluation_transforms.empty()) {
    std::copy_if(options_.transforms.begin(), options_.transforms.end(),
                 std::back_inserter(options_.evaluation_transforms), is_deterministic);
  }
  const std::shared_ptr<const ImageSource> list[] = {sources.train, sources.validation,
                                                     sources.test};
  for (size_t p = 0; p < 3; ++p) {
    parts_[p].source = list[p];
    if (list[p] == nullptr) continue;
    for (int64_t i = 0; i < list[p]->size(); ++i) parts_[p].indices.push_back(i);
  }
  if (sources.validation == nullptr && options.hold_out > 0) {
    std::vector<int64_t>& all = parts_[0].indices;
    const double held = static_cast<double>(all.size()) * options.hold_out;
    parts_[1] = {sources.train, draw_out(all, static_cast<int64_t>(held), "data/validation")};
  }
  if (sources.validation == nullptr && options.hold_out_classes > 0) hold_out_classes();
  class_names_ = options.classes.empty() ? std::move(class_names) : options.classes;
  if (class_names_.empty()) {
    int64_t highest = 0;
    for (int64_t i = 0; i < sources.train->size(); ++i) {
      highest = std::max(highest, sources.train->label(i));
    }
    for (int64_t c = 0; c <= highest; ++c) class_names_.push_back(std::to_string(c));
  }
  check_labels(where);
  const Image first = make(Part::train, {0, {}, false});
  shape_ = {first.height, first.width, first.channels};
  summary_ = fmt::format(
      "{} images for training, {} for validation, {} for testing; {} x {} x {}, "
      "{} classes",
      size(Part::train), size(Part::validation), size(Part::test), first.height, first.width,
      first.channels, classes());
}

void ImageDataset::hold_out_classes() {
  PartExamples &train = parts_[0], &validation = parts_[1];
  std::set<int64_t> present;
  for (const int64_t index : train.indices) present.insert(train.source->label(index));
  std::vector<int64_t> stay(present.begin(), present.end());
  const double held = static_cast<double>(stay.size()) * options_.hold_out_classes;
  const std::vector<int64_t> drawn =
      draw_out(stay, static_cast<int64_t>(held), "data/validation_classes");
  const auto is_held = [&](int64_t index) {
    return std::binary_search(drawn.begin(), drawn.end(), train.source->label(index));
  };
  validation.source = train.source;
  std::copy_if(train.indices.begin(), train.indices.end(), std::back_inserter(validation.indices),
               is_held);
  std::erase_if(train.indices, is_held);
}

void ImageDataset::check_labels(const SourceLocation& where) const {
  for (const PartExamples& part : parts_) {
    for (const int64_t index : part.indices) {
      const int64_t label = part.source->label(index);
      if (label < 0 || label >= classes()) {
        fail_request(where, fmt::format("{}: the label {} is none of the {} classes",
                                        part.source->name(index), label, classes()));
      }
    }
  }
}

int64_t ImageDataset::size(Part p) const { return static_cast<int64_t>(part(p).indices.size()); }

int64_t ImageDataset::label(Part p, int64_t example) const {
  return part(p).source->label(part(p).indices.at(static_cast<size_t>(example)));
}

Image ImageDataset::make(Part p, const ExampleRow& row) const {
  HEED_CHECK(row.example >= 0 && row.example < size(p), "images: {} example {} of {}", name_of(p),
             row.example, size(p));
  const int64_t index = part(p).indices[static_cast<size_t>(row.example)];
  try {
    return apply_transforms(part(p).source->load(index),
                            row.augment ? options_.transforms : options_.evaluation_transforms,
                            row.draw);
  } catch (const RequestError& error) {
    const std::string name = part(p).source->name(index);
    const std::string message = error.what();
    if (message.starts_with(name)) throw;
    fail_request("{}: {}", name, message);
  }
}

LabelledBatch ImageDataset::gather(Part p, std::span<const ExampleRow> rows) const {
  const auto count = static_cast<int64_t>(rows.size());
  ImageBatch batch;
  batch.images = Tensor::empty({count, shape_[0], shape_[1], shape_[2]}, DType::f32);
  batch.labels = Tensor::empty({count}, DType::i64);
  auto* pixels = batch.images.data<float>();
  auto* labels = batch.labels.data<int64_t>();
  const int64_t values = shape_.numel();
  for (const ExampleRow& row : rows) {
    if (row.example < 0) {
      std::fill_n(pixels, values, 0.0f);
      *labels = kIgnoreTarget;
    } else {
      const Image image = make(p, row);
      const Shape shape{image.height, image.width, image.channels};
      if (!(shape == shape_)) {
        const int64_t index = part(p).indices[static_cast<size_t>(row.example)];
        fail_request(
            "{}: {} after the transforms, the first image {}: add a crop or a resize to "
            "both sides, or set channels",
            part(p).source->name(index), shape.to_string(), shape_.to_string());
      }
      std::copy(image.values.begin(), image.values.end(), pixels);
      *labels = label(p, row.example);
      ++batch.count;
    }
    pixels += values;
    ++labels;
  }
  return batch;
}

LabelledBatch ImageDataset::gather_training(std::span<const ExampleRow> all, int64_t begin,
                                            int64_t end, const RandomKey& batch_draw) const {
  const auto rows = [&](int64_t from, int64_t to) {
    return all.subspan(static_cast<size_t>(from), static_cast<size_t>(to - from));
  };
  ImageBatch own = std::get<ImageBatch>(gather(Part::train, rows(begin, end)));
  if (options_.mixup <= 0 && options_.cutmix <= 0) return own;
  const Mix mix = draw_mix({options_.mixup, options_.cutmix, options_.mix_probability}, shape_[0],
                           shape_[1], batch_draw);
  // Row i of these rows meets row B - 1 - i of the batch: the mirrored rows, backwards.
  const auto total = static_cast<int64_t>(all.size());
  const int64_t first = total - end;
  if (mix.share == 1 || first == begin) return mix_batch(own, own, mix, classes());
  return mix_batch(own, std::get<ImageBatch>(gather(Part::train, rows(first, total - begin))), mix,
                   classes());
}

}  // namespace heed::data
