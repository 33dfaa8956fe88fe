// The options of transforms, and which type takes which of them.
#include <algorithm>
#include <map>

#include "data/transforms.h"

namespace heed::data {
namespace {

const std::map<std::string, std::vector<std::string>>& fields_by_type() {
  static const std::map<std::string, std::vector<std::string>> fields = {
      {"resize", {"size", "interpolation"}},
      {"center_crop", {"size"}},
      {"random_crop", {"size", "padding"}},
      {"random_resized_crop", {"size", "scale", "ratio", "interpolation"}},
      {"horizontal_flip", {"probability"}},
      {"colour_jitter", {"brightness", "contrast", "saturation", "hue"}},
      {"rand_augment", {"count", "magnitude"}},
      {"normalise", {"mean", "std"}},
      {"random_erasing", {"probability", "scale", "ratio", "fill"}},
  };
  return fields;
}

std::vector<std::string> types() {
  std::vector<std::string> names;
  for (const auto& [name, fields] : fields_by_type()) names.push_back(name);
  return names;
}

}  // namespace

void TransformOptions::options(Options& o) {
  o.field("type", type, "what is done to the image", {.one_of = types(), .required = true});
  o.field("size", size, "[side] or [height, width] in pixels", {.min = 1, .max = 1 << 15});
  o.field("padding", padding, "zeros on each side before random_crop; none: 0",
          {.min = 0, .max = 1 << 15});
  o.field("probability", probability, "how often; none: 0.5 (flip), 0.25 (erasing)",
          {.min = 0, .max = 1});
  o.field("scale", scale,
          "[low, high] part of the area; empty: [0.08, 1] (crop), [0.02, 0.33] (erasing)",
          {.max = 1, .above = 0});
  o.field("ratio", ratio, "[low, high]; empty: [0.75, 1.3333] (crop), [0.3, 3.3] (erasing)",
          {.above = 0});
  o.field("interpolation", interpolation, "nearest, bilinear, bicubic or box; none: bilinear",
          {.one_of = {"nearest", "bilinear", "bicubic", "box"}});
  o.field("brightness", brightness, "strength of the jitter; none: 0", {.min = 0, .max = 1});
  o.field("contrast", contrast, "strength of the jitter; none: 0", {.min = 0, .max = 1});
  o.field("saturation", saturation, "strength of the jitter; none: 0", {.min = 0, .max = 1});
  o.field("hue", hue, "strength of the jitter in turns; none: 0", {.min = 0, .max = 0.5});
  o.field("count", count, "operations of rand_augment; none: 2", {.min = 1, .max = 14});
  o.field("magnitude", magnitude, "of rand_augment's operations; none: 9", {.min = 0, .max = 30});
  o.field("mean", mean, "subtracted by normalise: one number, or one a channel");
  o.field("std", std, "divided by in normalise: one number, or one a channel", {.above = 0});
  o.field("fill", fill, "what random_erasing leaves; none: zeros", {.one_of = {"zeros", "noise"}});

  const auto found = fields_by_type().find(type);
  if (found == fields_by_type().end()) return;
  const std::vector<std::string>& known = found->second;
  const auto takes = [&](const char* name) {
    return std::find(known.begin(), known.end(), name) != known.end();
  };
  const auto only = [&](const char* name, bool given) {
    o.check(!given || takes(name), name, type + " takes no '" + name + "'");
  };
  only("size", !size.empty());
  only("padding", padding.has_value());
  only("probability", probability.has_value());
  only("scale", !scale.empty());
  only("ratio", !ratio.empty());
  only("interpolation", interpolation.has_value());
  only("brightness", brightness.has_value());
  only("contrast", contrast.has_value());
  only("saturation", saturation.has_value());
  only("hue", hue.has_value());
  only("count", count.has_value());
  only("magnitude", magnitude.has_value());
  only("mean", !mean.empty());
  only("std", !std.empty());
  only("fill", fill.has_value());
  o.check(!takes("size") || size.size() == 1 || size.size() == 2, "size",
          type + " needs size: [side] or [height, width]");
  const auto is_range = [](const std::vector<double>& range) {
    return range.empty() || (range.size() == 2 && range[0] <= range[1]);
  };
  o.check(is_range(scale), "scale", "scale must be [low, high]");
  o.check(is_range(ratio), "ratio", "ratio must be [low, high]");
  const auto is_channels = [](const std::vector<double>& v) {
    return v.size() == 1 || v.size() == 3;
  };
  o.check(!takes("mean") || (is_channels(mean) && is_channels(std)), "mean",
          "normalise needs mean and std, each of 1 or 3 numbers");
}

bool is_deterministic(const TransformOptions& transform) {
  return transform.type == "resize" || transform.type == "center_crop" ||
         transform.type == "normalise";
}

}  // namespace heed::data
