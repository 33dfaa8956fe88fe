// Transforms of images: a list that a recipe gives, drawn anew for every (seed, epoch, example).
//
//   transforms:
//     - {type: random_crop, size: [32], padding: 4}
//     - {type: horizontal_flip}
//     - {type: normalise, mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616]}
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/random.h"
#include "data/image.h"

namespace heed::data {

/// One entry of the list; a field that its type does not take is an error.
///   resize               size [s]: the shorter side; [h, w]: both. interpolation
///   center_crop          size [s] or [h, w]; zeros beyond the image
///   random_crop          size, after `padding` zeros on each side
///   random_resized_crop  an area of `scale` times the image's, of a `ratio` of width to height, to
///                        size (Szegedy et al., arXiv 1409.4842). interpolation
///   horizontal_flip      probability
///   colour_jitter        brightness, contrast, saturation: factors from [1 - v, 1 + v]; hue: turns
///                        from [-v, v]; in this order
///   rand_augment         `count` operations out of 14, of `magnitude` of 30 (Cubuk et al., arXiv
///                        1909.13719; torchvision's ranges; bilinear, zeros outside)
///   normalise            (value - mean) / std, a number a channel or one for all
///   random_erasing       with `probability` a rectangle of `scale` times the area, of a `ratio` of
///                        width to height, becomes 0 or noise (Zhong et al., arXiv 1708.04896)
struct TransformOptions {
  std::string type;
  std::vector<int64_t> size;
  std::optional<int64_t> padding;
  std::optional<double> probability;
  std::vector<double> scale;
  std::vector<double> ratio;
  std::optional<std::string> interpolation;
  std::optional<double> brightness, contrast, saturation, hue;
  std::optional<int64_t> count;
  std::optional<double> magnitude;
  std::vector<double> mean;
  std::vector<double> std;
  std::optional<std::string> fill;

  void options(Options& o);
};

/// True for the types that draw nothing.
bool is_deterministic(const TransformOptions& transform);

/// Applies the list in order; transform i draws by draw.derive(i).
Image apply_transforms(Image image, const std::vector<TransformOptions>& transforms,
                       const RandomKey& draw);

/// rand_augment's operation `operation` of [0, kAugmentOperations) at a magnitude of [0, 30];
/// `negative` turns the signed ones around.
inline constexpr int kAugmentOperations = 14;
void augment(Image& image, int operation, double magnitude, bool negative);

}  // namespace heed::data
