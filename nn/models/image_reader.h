// What generation asks of a language model that reads images too.
#pragma once

#include "nn/models/language_model.h"

namespace heed::nn {

class ImageReader {
 public:
  virtual ~ImageReader() = default;

  /// The id that stands where an image's states go, once for each of them.
  virtual int64_t image_token() const = 0;
  /// States of an image.
  virtual int64_t image_tokens() const = 0;
  /// An image [height, width, channels].
  virtual Shape image_shape() const = 0;
  /// LanguageModel::forward and loss of ids [B, N] that hold images [M, H, W, C], normalised:
  /// image_tokens() image tokens for each, wherever they lie.
  virtual Tensor forward_with(const Tensor& ids, const Tensor& images) = 0;
  virtual Tensor loss_with(const Tensor& ids, const Tensor& targets, const Tensor& images) = 0;
  /// Floating-point operations that an image's states take.
  virtual double image_flops() const = 0;
  /// LanguageModel::decode of ids that hold images [M, H, W, C], normalised.
  virtual Tensor decode_with(const Tensor& ids, const Tensor& images, DecodeState& state) = 0;
};

}  // namespace heed::nn
