#include "data/image_pairs.h"

#include <algorithm>
#include <memory>
#include <mutex>

#include "data/image_formats.h"
#include "data/resample.h"
#include "data/text_source.h"

namespace heed::data {
namespace {

struct Pair {
  Image input, target;
};

// What the noise of an example that is not augmented is drawn by: always the same.
RandomKey fixed_draw(Part part, int64_t example) {
  return RandomKey{0, hash_name("data/degradation"), 0}
      .derive(name_of(part))
      .derive(static_cast<uint64_t>(example));
}

// A dataset of pairs that are made one by one.
class ImagePairs : public LabelledDataset {
 public:
  explicit ImagePairs(int64_t scale) : scale_(scale) {}

  const char* kind() const override { return "image-pairs"; }
  int64_t label(Part, int64_t) const override {
    fail("image pairs: an image has no class, its target is an image");
  }
  Shape example_shape() const override { return shape_; }
  Shape target_shape() const override {
    return {shape_[0] * scale_, shape_[1] * scale_, shape_[2]};
  }

  LabelledBatch gather(Part part, std::span<const ExampleRow> rows) const override {
    ImageBatch batch;
    float *inputs = nullptr, *targets = nullptr;
    Shape first = shape_;
    for (size_t row = 0; row < rows.size(); ++row) {
      if (rows[row].example < 0 && row > 0) continue;
      const std::shared_ptr<const Pair> pair =
          rows[row].example < 0 ? blank() : make(part, rows[row]);
      const Image &input = pair->input, &target = pair->target;
      const Shape shape{input.height, input.width, input.channels};
      if (row == 0) {
        first = shape;
        const auto count = static_cast<int64_t>(rows.size());
        batch.images = Tensor::zeros({count, shape[0], shape[1], shape[2]}, DType::f32);
        batch.labels =
            Tensor::zeros({count, shape[0] * scale_, shape[1] * scale_, shape[2]}, DType::f32);
        inputs = batch.images.data<float>();
        targets = batch.labels.data<float>();
      } else if (!(shape == first)) {
        fail_request("image pairs: images of {} and {} do not go into one batch", first.to_string(),
                     shape.to_string());
      }
      const auto place = static_cast<int64_t>(row);
      std::copy(input.values.begin(), input.values.end(),
                inputs + place * static_cast<int64_t>(input.values.size()));
      std::copy(target.values.begin(), target.values.end(),
                targets + place * static_cast<int64_t>(target.values.size()));
      batch.count += rows[row].example >= 0;
    }
    return batch;
  }

 protected:
  virtual std::shared_ptr<const Pair> make(Part part, const ExampleRow& row) const = 0;

  int64_t scale_;
  Shape shape_;  // of a training input

 private:
  std::shared_ptr<const Pair> blank() const {
    const Shape target = target_shape();
    return std::make_shared<const Pair>(
        Pair{Image(shape_[0], shape_[1], shape_[2]), Image(target[0], target[1], target[2])});
  }
};

// ---- files

struct PairFiles {
  std::vector<std::string> targets, inputs;
};

PairFiles find_pairs(const ImagePairFiles& files, const char* part, const SourceLocation& where) {
  PairFiles found;
  if (files.targets.empty()) {
    if (!files.inputs.empty()) fail_request(where, fmt::format("{}: inputs need targets", part));
    return found;
  }
  found.targets = find_text_files(files.targets, where);
  if (files.inputs.empty()) return found;
  found.inputs = find_text_files(files.inputs, where);
  if (found.inputs.size() != found.targets.size()) {
    fail_request(where, fmt::format("{}: {} inputs for {} targets", part, found.inputs.size(),
                                    found.targets.size()));
  }
  return found;
}

// The largest part from the upper left corner whose sides are multiples of `scale`.
Image cut_to_multiple(const Image& image, int64_t scale) {
  const int64_t height = image.height / scale * scale, width = image.width / scale * scale;
  return height == image.height && width == image.width ? image : crop(image, 0, 0, height, width);
}

class FilePairs : public ImagePairs {
 public:
  FilePairs(const ImagePairOptions& options, const SourceLocation& where)
      : ImagePairs(options.degradation.scale), options_(options) {
    const ImagePairFiles* given[] = {&options.train, &options.validation, &options.test};
    for (size_t p = 0; p < 3; ++p) {
      files_[p] = find_pairs(*given[p], name_of(static_cast<Part>(p)), where);
      cache_[p].resize(files_[p].targets.size());
    }
    if (size(Part::train) == 0) fail_request(where, "there are no images to train on");
    const int64_t channels = whole(Part::train, 0)->input.channels;
    shape_ = {options.crop, options.crop, channels};
    summary_ = fmt::format(
        "{} pairs of images for training, {} for validation, {} for testing; crops of {} x {} x {} "
        "to {} x {}",
        size(Part::train), size(Part::validation), size(Part::test), options.crop, options.crop,
        channels, options.crop * scale_, options.crop * scale_);
  }

  int64_t size(Part part) const override { return static_cast<int64_t>(of(part).targets.size()); }
  int workers() const override { return static_cast<int>(options_.workers); }

 protected:
  std::shared_ptr<const Pair> make(Part part, const ExampleRow& row) const override {
    const std::shared_ptr<const Pair> pair = whole(part, row.example);
    if (row.augment) {
      return std::make_shared<const Pair>(
          random_part(*pair, row.draw, of(part).targets[static_cast<size_t>(row.example)]));
    }
    if (options_.degradation.noise.empty() && !options_.degradation.quantise) return pair;
    const auto result = std::make_shared<Pair>(*pair);
    disturb(result->input, options_.degradation, fixed_draw(part, row.example));
    return result;
  }

 private:
  const PairFiles& of(Part part) const { return files_[static_cast<size_t>(part)]; }

  Pair read(Part part, size_t index) const {
    const PairFiles& files = of(part);
    const std::string& path = files.targets.at(index);
    Pair pair;
    pair.target = cut_to_multiple(read_image(path, options_.channels), scale_);
    pair.input = files.inputs.empty() ? reduced(pair.target, options_.degradation)
                                      : read_image(files.inputs[index], options_.channels);
    const Image &in = pair.input, &out = pair.target;
    if (in.height * scale_ != out.height || in.width * scale_ != out.width ||
        in.channels != out.channels) {
      fail_request("'{}' is {} x {} x {} and '{}' {} x {} x {}: no pair at a scale of {}",
                   files.inputs[index], in.height, in.width, in.channels, path, out.height,
                   out.width, out.channels, scale_);
    }
    return pair;
  }

  // The pair before noise, kept as long as all that are kept fit in the cache.
  std::shared_ptr<const Pair> whole(Part part, int64_t example) const {
    const auto index = static_cast<size_t>(example);
    std::shared_ptr<const Pair>& kept = cache_[static_cast<size_t>(part)].at(index);
    {
      const std::lock_guard lock(mutex_);
      if (kept) return kept;
    }
    auto pair = std::make_shared<const Pair>(read(part, index));
    const auto bytes = static_cast<int64_t>(
        sizeof(float) * (pair->input.values.size() + pair->target.values.size()));
    const std::lock_guard lock(mutex_);
    if (!kept && cached_bytes_ + bytes <= options_.cache_bytes) {
      cached_bytes_ += bytes;
      kept = pair;
    }
    return pair;
  }

  Pair random_part(const Pair& pair, const RandomKey& draw, const std::string& name) const {
    const int64_t side = options_.crop, height = pair.input.height, width = pair.input.width;
    if (height < side || width < side) {
      fail_request("'{}': its input of {} x {} has no part of {} x {}", name, height, width, side,
                   side);
    }
    const RandomStream stream(draw.derive("crop"));
    const auto place = [&](uint64_t nth, int64_t room) {
      return static_cast<int64_t>(stream.below(nth, static_cast<uint64_t>(room + 1)));
    };
    const int64_t top = place(0, height - side), left = place(1, width - side);
    Pair part{crop(pair.input, top, left, side, side),
              crop(pair.target, top * scale_, left * scale_, side * scale_, side * scale_)};
    if (options_.turns) {
      const auto turn = static_cast<int>(stream.below(2, kTurns));
      part = {turned(part.input, turn), turned(part.target, turn)};
    }
    disturb(part.input, options_.degradation, draw.derive("noise"));
    return part;
  }

  ImagePairOptions options_;
  PairFiles files_[3];
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Pair>> cache_[3];
  mutable int64_t cached_bytes_ = 0;
};

// ---- other datasets

class DegradedImages : public ImagePairs {
 public:
  DegradedImages(const DegradedImageOptions& options, const SourceLocation& where)
      : ImagePairs(options.degradation.scale),
        degradation_(options.degradation),
        images_(open_labelled_dataset(options.images)) {
    const std::string kind = images_->kind();
    if (kind != "images" && kind != "masks") {
      fail_request(options.images.where(),
                   fmt::format("degraded-images: needs images, not {}", kind));
    }
    for (const char* mixing : {"mixup", "cutmix"}) {
      const Config* alpha = options.images.find(mixing);
      if (alpha == nullptr || alpha->as_number() == 0) continue;
      fail_request(alpha->where(),
                   fmt::format("degraded-images: no {}, every target is one image", mixing));
    }
    const Shape shape = images_->example_shape();
    if (shape[0] % scale_ != 0 || shape[1] % scale_ != 0) {
      fail_request(where, fmt::format("images of {} x {} cannot be made {} times smaller: crop "
                                      "them to a multiple",
                                      shape[0], shape[1], scale_));
    }
    shape_ = {shape[0] / scale_, shape[1] / scale_, shape[2]};
    summary_ = fmt::format("{}; made worse to {} x {}", images_->summary(), shape_[0], shape_[1]);
  }

  int64_t size(Part part) const override { return images_->size(part); }
  int workers() const override { return images_->workers(); }
  int64_t repeats() const override { return images_->repeats(); }

 protected:
  std::shared_ptr<const Pair> make(Part part, const ExampleRow& row) const override {
    const auto one = std::get<ImageBatch>(images_->gather(part, std::span(&row, 1)));
    const Shape shape = images_->example_shape();
    const auto pair = std::make_shared<Pair>(Pair{{}, Image(shape[0], shape[1], shape[2])});
    std::copy_n(one.images.data<float>(), one.images.numel(), pair->target.values.begin());
    pair->input = reduced(pair->target, degradation_);
    disturb(pair->input, degradation_,
            row.augment ? row.draw.derive("noise") : fixed_draw(part, row.example));
    return pair;
  }

 private:
  DegradationOptions degradation_;
  std::unique_ptr<LabelledDataset> images_;
};

}  // namespace

void ImagePairFiles::options(Options& o) {
  o.field("targets", targets,
          "PNG or JPEG files of what is wanted, or glob patterns; ${NAME} is an environment "
          "variable");
  o.field("inputs", inputs,
          "files of what the model gets, the n-th for the n-th target; none: targets made smaller");
}

void ImagePairOptions::options(Options& o) {
  o.field("train", train, "pairs to train on");
  o.field("validation", validation, "pairs of the validation part");
  o.field("test", test, "pairs of the test part");
  degradation.options(o);
  o.field("crop", crop, "pixels on each side of the part of an input that training sees",
          {.min = 1, .max = 1 << 15});
  o.field("turns", turns, "training pairs are mirrored and turned at random");
  o.field("channels", channels, "1 or 3 converts to grey or RGB; 0 keeps what the files have",
          {.min = 0, .max = 3});
  o.check(channels != 2, "channels", "channels must be 0, 1 or 3");
  o.field("cache_bytes", cache_bytes, "keep so many bytes of decoded images in memory", {.min = 0});
  o.field("workers", workers,
          "threads that make batches ahead of the training; batches are the same with any",
          {.min = 1, .max = 64});
}

void DegradedImageOptions::options(Options& o) {
  o.field("images", images, "the dataset whose images are the targets: `type` and its own keys",
          {.required = true, .registry = "datasets"});
  degradation.options(o);
}

std::unique_ptr<LabelledDataset> open_image_pairs(const ImagePairOptions& options,
                                                  const SourceLocation& where) {
  return std::make_unique<FilePairs>(options, where);
}

std::unique_ptr<LabelledDataset> open_degraded_images(const DegradedImageOptions& options,
                                                      const SourceLocation& where) {
  return std::make_unique<DegradedImages>(options, where);
}

}  // namespace heed::data
