#include "data/image_processor.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/image_codec.h"
#include "data/resample.h"

namespace heed::data {
namespace {

const Config* given(const Config& config, const char* key) {
  const Config* value = config.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool is_on(const Config& config, const char* key, bool standard = true) {
  const Config* value = given(config, key);
  return value == nullptr ? standard : value->as_bool();
}

int64_t positive(const Config& value) {
  constexpr int64_t kMost = 1 << 14;
  const int64_t pixels = value.as_integer();
  if (pixels < 1 || pixels > kMost) {
    fail_request(value.where(), fmt::format("a size of {} pixels", pixels));
  }
  return pixels;
}

// Pillow's numbers of filters.
std::string filter_in(const Config& config) {
  constexpr std::array<const char*, 6> kFilters = {"nearest", "lanczos", "bilinear",
                                                   "bicubic", "box",     "hamming"};
  const Config* number = given(config, "resample");
  if (number == nullptr) return "bicubic";
  const int64_t value = number->as_integer();
  if (value < 0 || value >= std::ssize(kFilters)) {
    fail_request(number->where(), fmt::format("'resample' is {}; known: 0 to 5", value));
  }
  return kFilters[static_cast<size_t>(value)];
}

std::vector<double> of_channels(const Config& config, const char* key,
                                const std::array<double, 3>& standard, int64_t channels) {
  const Config* values = given(config, key);
  if (values == nullptr && channels == 3) return {standard.begin(), standard.end()};
  std::vector<double> all;
  if (values != nullptr) {
    for (const Config& value : values->as_list()) all.push_back(value.as_number());
  }
  if (static_cast<int64_t>(all.size()) != channels) {
    fail_request((values == nullptr ? config : *values).where(),
                 fmt::format("'{}' has {} numbers for {} channels", key, all.size(), channels));
  }
  return all;
}

// The deviations that values are divided by.
std::vector<double> deviations_in(const Config& config, int64_t channels) {
  std::vector<double> all =
      of_channels(config, "image_std", {0.26862954, 0.26130258, 0.27577711}, channels);
  for (const double deviation : all) {
    if (deviation > 0 && std::isfinite(deviation)) continue;
    fail_request(config.at("image_std").where(),
                 fmt::format("'image_std' must be above 0, got {}", deviation));
  }
  return all;
}

void check_known(const Config& config) {
  for (const char* key : {"do_pad", "do_flip_channel_order", "do_image_splitting"}) {
    if (is_on(config, key, false)) {
      fail_request(config.at(key).where(), fmt::format("'{}' of pictures is not supported", key));
    }
  }
  const Config* size = given(config, "size");
  if (size == nullptr || !size->is_map()) return;
  for (const auto& [key, value] : size->as_map()) {
    if (value.is_null() || key == "height" || key == "width" || key == "shortest_edge") continue;
    fail_request(value.where(), fmt::format("a size by '{}' is not supported", key));
  }
}

}  // namespace

ImageProcessor::Size ImageProcessor::size_in(const Config& value) {
  if (value.is_integer()) return {positive(value), positive(value)};
  return {positive(value.at("height")), positive(value.at("width"))};
}

ImageProcessor::ImageProcessor(const Config& config, const Shape& shape)
    : shape_(shape),
      resizes_(is_on(config, "do_resize")),
      cuts_(is_on(config, "do_center_crop")),
      filter_(filter_in(config)) {
  check_known(config);
  size_ = {shape[0], shape[0], true};
  if (const Config* size = given(config, "size")) {
    const bool both = size->is_map() && given(*size, "height") != nullptr;
    if (both) {
      size_ = size_in(*size);
    } else {  // one number is the shorter side's
      const int64_t shorter = positive(size->is_map() ? size->at("shortest_edge") : *size);
      size_ = {shorter, shorter, true};
    }
  }
  const Config* cut = given(config, "crop_size");
  cut_ = cut == nullptr ? Size{shape[0], shape[1]} : size_in(*cut);

  constexpr double kLevels = 255.0;
  const Config* factor = given(config, "rescale_factor");
  const double unit = !is_on(config, "do_rescale") ? 1.0
                      : factor == nullptr          ? 1.0 / kLevels
                                                   : factor->as_number();
  const auto mean =
      of_channels(config, "image_mean", {0.48145466, 0.4578275, 0.40821073}, shape[2]);
  const auto deviation = deviations_in(config, shape[2]);
  const bool normalise = is_on(config, "do_normalize");
  for (size_t c = 0; c < mean.size(); ++c) {
    scale_.push_back(normalise ? unit / deviation[c] : unit);
    shift_.push_back(normalise ? -mean[c] / deviation[c] : 0.0);
  }
}

ImageProcessor::Size ImageProcessor::resized(const ByteImage& image,
                                             const std::string& name) const {
  Size to{image.height, image.width};
  if (!resizes_) return to;
  to = size_;
  if (size_.shorter) {
    const int64_t longer =
        size_.height * std::max(image.height, image.width) / std::min(image.height, image.width);
    (image.height > image.width ? to.height : to.width) = longer;
  }
  if (to.height > kMaxImagePixels / to.width) {
    fail_request("{}: {} x {} pixels become {} x {} when resized; at most {} are", name,
                 image.height, image.width, to.height, to.width, kMaxImagePixels);
  }
  return to;
}

Tensor ImageProcessor::process(const ByteImage& given_image, const std::string& name) const {
  const Size to = resized(given_image, name), last = cuts_ ? cut_ : to;
  if (last.height != shape_[0] || last.width != shape_[1] || given_image.channels != shape_[2]) {
    fail_request("{}: becomes {} x {} pixels of {} channels, and the model reads {} x {} of {}",
                 name, last.height, last.width, given_image.channels, shape_[0], shape_[1],
                 shape_[2]);
  }
  ByteImage image = resizes_ ? resize(given_image, to.height, to.width, filter_) : given_image;
  if (cuts_) {
    image = crop(image, (image.height - cut_.height) / 2, (image.width - cut_.width) / 2,
                 cut_.height, cut_.width);
  }
  Tensor result = Tensor::empty(shape_);
  auto* out = result.data<float>();
  for (size_t i = 0; i < image.values.size(); ++i) {
    const size_t c = i % scale_.size();
    out[i] = static_cast<float>(scale_[c] * image.values[i] + shift_[c]);
  }
  return result;
}

Tensor ImageProcessor::read(std::span<const std::byte> bytes, const std::string& name) const {
  return process(decode_image(bytes, name, shape_[2], Transparency::over_white), name);
}

}  // namespace heed::data
