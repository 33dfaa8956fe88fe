#include "recipes/engine/image_prompt.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <vector>

#include "core/config.h"
#include "core/files.h"
#include "data/image_codec.h"
#include "data/resample.h"
#include "recipes/engine/checkpoint_files.h"
#include "recipes/engine/hf/family.h"
#include "recipes/engine/hf/files.h"

namespace heed::recipes {
namespace {

using checkpoint_files::join;
using data::Image;
using hf::given;

// The kept config of a checkpoint: a file of its own, or, as version 5 has it, a part of the
// processor's.
Config config_in(const std::string& assets) {
  const auto path = [&](const char* name) { return join(assets, std::string(hf::kKept) + name); };
  if (const std::string own = path("preprocessor_config.json"); std::filesystem::exists(own)) {
    return read_json_file(own);
  }
  if (const std::string all = path("processor_config.json"); std::filesystem::exists(all)) {
    const Config config = read_json_file(all);
    if (const Config* part = given(config, "image_processor")) return *part;
  }
  return Config::map();
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

struct Size {
  int64_t height = 0, width = 0;
};

Size size_in(const Config& value) {
  if (value.is_integer()) return {positive(value), positive(value)};
  return {positive(value.at("height")), positive(value.at("width"))};
}

// One number is the shorter side's.
Size resized(const Config* size, const Image& image, int64_t standard) {
  const bool both = size != nullptr && size->is_map() && size->has("height");
  if (both) return size_in(*size);
  int64_t shorter = standard;
  if (size != nullptr) shorter = positive(size->is_map() ? size->at("shortest_edge") : *size);
  const bool tall = image.height > image.width;
  const int64_t longer =
      shorter * std::max(image.height, image.width) / std::min(image.height, image.width);
  return tall ? Size{longer, shorter} : Size{shorter, longer};
}

// Pillow's numbers of filters.
std::string filter_in(const Config& config) {
  const Config* number = given(config, "resample");
  if (number == nullptr) return "bicubic";
  switch (number->as_integer()) {
    case 0:
      return "nearest";
    case 2:
      return "bilinear";
    case 3:
      return "bicubic";
    case 4:
      return "box";
    default:
      fail_request(number->where(),
                   fmt::format("'resample' is {}; known: 0, 2, 3, 4", number->as_integer()));
  }
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
}

// What becomes of a picture's extents, before its pixels are touched.
struct Steps {
  std::optional<Size> resized, cut;
};

Steps steps_in(const Config& config, const Image& image, const std::string& file,
               const Shape& shape) {
  Steps steps;
  Size last{image.height, image.width};
  if (is_on(config, "do_resize")) {
    last = resized(given(config, "size"), image, shape[0]);
    if (last.height > data::kMaxImagePixels / last.width) {
      fail_request("{}: {} x {} pixels become {} x {} when resized; at most {} are", file,
                   image.height, image.width, last.height, last.width, data::kMaxImagePixels);
    }
    steps.resized = last;
  }
  if (is_on(config, "do_center_crop")) {
    const Config* cut = given(config, "crop_size");
    last = cut == nullptr ? Size{shape[0], shape[1]} : size_in(*cut);
    steps.cut = last;
  }
  if (last.height != shape[0] || last.width != shape[1]) {
    fail_request("{}: becomes {} x {} pixels, and the model reads {} x {}", file, last.height,
                 last.width, shape[0], shape[1]);
  }
  return steps;
}

// (value x 255 x factor - mean) / deviation, each by choice.
void normalise(const Config& config, Image& image) {
  constexpr double kLevels = 255.0;
  const Config* factor = given(config, "rescale_factor");
  const double scale = !is_on(config, "do_rescale") ? kLevels
                       : factor == nullptr          ? 1.0
                                                    : factor->as_number() * kLevels;
  const bool standard = is_on(config, "do_normalize");
  const auto mean =
      of_channels(config, "image_mean", {0.48145466, 0.4578275, 0.40821073}, image.channels);
  const auto deviation = deviations_in(config, image.channels);
  for (size_t i = 0; i < image.values.size(); ++i) {
    const size_t channel = i % static_cast<size_t>(image.channels);
    const double value = scale * image.values[i];
    image.values[i] =
        static_cast<float>(standard ? (value - mean[channel]) / deviation[channel] : value);
  }
}

}  // namespace

Tensor read_image_prompt(const std::string& file, const std::string& assets, const Shape& shape) {
  const Config config = config_in(assets);
  check_known(config);
  const MappedFile bytes(file);
  Image image = data::to_image(data::decode_image(bytes.bytes(), file, shape[2]));
  const Steps steps = steps_in(config, image, file, shape);
  if (steps.resized) {
    image = data::resize(image, steps.resized->height, steps.resized->width, filter_in(config));
    // Pictures have 256 levels, between which a filter rounds.
    image = data::to_image(data::to_bytes(image));
  }
  if (steps.cut) {
    const auto [height, width] = *steps.cut;
    image =
        data::crop(image, (image.height - height) / 2, (image.width - width) / 2, height, width);
  }
  normalise(config, image);
  return Tensor::from(image.values, {1, shape[0], shape[1], shape[2]});
}

}  // namespace heed::recipes
