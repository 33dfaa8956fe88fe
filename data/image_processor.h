// A picture as a model of the Hugging Face hub wants it, by the words of its
// preprocessor_config.json: resized, cut out, scaled and normalised.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/shape.h"
#include "core/tensor.h"
#include "data/image.h"

namespace heed::data {

class ImageProcessor {
 public:
  /// For a model that reads images of `shape` [H, W, C]. What `config` (a map) leaves out is CLIP's
  /// way: the shorter side to H by a bicubic filter, the middle H x W, [0, 1], and CLIP's means and
  /// deviations. A RequestError names, with its place, a key that would change the picture in a way
  /// that is not known here.
  ImageProcessor(const Config& config, const Shape& shape);

  /// A file's bytes -> f32 `shape`. The pixels are those that transformers has from Pillow, to the
  /// bit before they are scaled (torchvision rounds otherwise: by one level of 256, seldom more).
  /// RequestErrors begin with `name`: a file that cannot be decoded, a picture that becomes another
  /// size than the model's, and one of more than kMaxImagePixels when resized (a strip a pixel wide
  /// is widened to the shorter side).
  Tensor read(std::span<const std::byte> bytes, const std::string& name) const;
  /// The same from pixels of `shape`'s channels.
  Tensor process(const ByteImage& image, const std::string& name) const;

  const Shape& shape() const { return shape_; }

 private:
  struct Size {
    int64_t height = 0, width = 0;  ///< of `shorter`: both the shorter side's
    bool shorter = false;
  };

  static Size size_in(const Config& value);
  Size resized(const ByteImage& image, const std::string& name) const;

  Shape shape_;
  bool resizes_ = true, cuts_ = true;
  Size size_, cut_;
  std::string filter_ = "bicubic";
  std::vector<double> scale_, shift_;  ///< of each channel: value = scale * level + shift
};

}  // namespace heed::data
