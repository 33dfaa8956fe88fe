// ImageSource: a list of images with a class each, wherever they are kept.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/image.h"

namespace heed::data {

class ImageSource {
 public:
  virtual ~ImageSource() = default;
  virtual int64_t size() const = 0;
  virtual int64_t label(int64_t index) const = 0;
  /// Image `index` in [0, size()). Safe to call from any thread.
  virtual Image load(int64_t index) const = 0;
  /// What stands for image `index` in messages.
  virtual std::string name(int64_t index) const = 0;
};

/// A JPEG or PNG in memory (as a rule in a mapped file).
struct EncodedImage {
  std::string name;
  std::span<const std::byte> bytes;
  int64_t label = 0;
  /// In place of `bytes`: makes them whenever the image is decoded (a packed member of an archive).
  std::function<std::vector<std::byte>()> unpack = {};
};

/// Encoded images; `owner` keeps their bytes alive. Each is decoded when it is asked for; those of
/// the first one's size stay decoded (one byte a value) when all of them would fit in
/// `cache_bytes`.
std::unique_ptr<ImageSource> encoded_images(std::vector<EncodedImage> images, int64_t channels,
                                            int64_t cache_bytes, std::shared_ptr<const void> owner);

/// Decoded images: u8 (divided by 255) or f32 (as they are) [N, H, W] or [N, H, W, C] with labels
/// [N] of any integer type (or u8). `name` stands for them in messages.
std::unique_ptr<ImageSource> array_images(const Tensor& images, const Tensor& labels,
                                          const std::string& name);

}  // namespace heed::data
