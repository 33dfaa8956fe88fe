#include "data/image_source.h"

#include <algorithm>
#include <atomic>

#include "core/error.h"
#include "data/image_codec.h"

namespace heed::data {
namespace {

// Decoded images of one size in one block of memory, each written once.
class DecodedCache {
 public:
  DecodedCache(const ByteImage& first, int64_t count)
      : height_(first.height),
        width_(first.width),
        channels_(first.channels),
        bytes_(static_cast<int64_t>(first.values.size())),
        slab_(new uint8_t[static_cast<size_t>(bytes_ * count)]),
        states_(static_cast<size_t>(count)) {}

  /// The pixels, or null when they are not there.
  const uint8_t* find(int64_t index) const {
    const bool there = states_[static_cast<size_t>(index)].load(std::memory_order_acquire) == kFull;
    return there ? slab_.get() + index * bytes_ : nullptr;
  }

  /// Keeps the image if its size is the first one's and no other thread is just doing so.
  void keep(int64_t index, const ByteImage& image) {
    if (image.height != height_ || image.width != width_ || image.channels != channels_) return;
    auto& state = states_[static_cast<size_t>(index)];
    int expected = kEmpty;
    if (!state.compare_exchange_strong(expected, kBusy)) return;
    std::copy(image.values.begin(), image.values.end(), slab_.get() + index * bytes_);
    state.store(kFull, std::memory_order_release);
  }

  Image image(const uint8_t* pixels) const {
    Image out(height_, width_, channels_);
    bytes_to_unit(pixels, bytes_, out.values.data());
    return out;
  }

 private:
  static constexpr int kEmpty = 0, kBusy = 1, kFull = 2;

  int64_t height_, width_, channels_, bytes_;
  std::unique_ptr<uint8_t[]> slab_;  // left uninitialised: pages are taken as they are filled
  std::vector<std::atomic<int>> states_;
};

class EncodedImages : public ImageSource {
 public:
  EncodedImages(std::vector<EncodedImage> images, int64_t channels, int64_t cache_bytes,
                std::shared_ptr<const void> owner)
      : images_(std::move(images)), channels_(channels), owner_(std::move(owner)) {
    if (images_.empty()) return;
    const ByteImage first = decode(0);
    const auto bytes = static_cast<int64_t>(first.values.size());
    if (size() <= cache_bytes / bytes) cache_ = std::make_unique<DecodedCache>(first, size());
  }

  int64_t size() const override { return static_cast<int64_t>(images_.size()); }
  int64_t label(int64_t index) const override { return at(index).label; }
  std::string name(int64_t index) const override { return at(index).name; }

  Image load(int64_t index) const override {
    HEED_CHECK(index >= 0 && index < size(), "images: {} of {}", index, size());
    if (cache_ != nullptr) {
      if (const uint8_t* pixels = cache_->find(index)) return cache_->image(pixels);
    }
    const ByteImage bytes = decode(index);
    if (cache_ != nullptr) cache_->keep(index, bytes);
    return to_image(bytes);
  }

 private:
  const EncodedImage& at(int64_t index) const { return images_.at(static_cast<size_t>(index)); }
  ByteImage decode(int64_t index) const {
    const EncodedImage& image = at(index);
    if (!image.unpack) return decode_image(image.bytes, image.name, channels_);
    return decode_image(image.unpack(), image.name, channels_);
  }

  std::vector<EncodedImage> images_;
  int64_t channels_;
  std::shared_ptr<const void> owner_;
  std::unique_ptr<DecodedCache> cache_;
};

class ArrayImages : public ImageSource {
 public:
  ArrayImages(const Tensor& images, const Tensor& labels, std::string name)
      : images_(images), labels_(labels.to_vector<int64_t>()), name_(std::move(name)) {
    const SourceLocation where{name_};
    if ((images.rank() != 3 && images.rank() != 4) ||
        (images.dtype() != DType::u8 && images.dtype() != DType::f32)) {
      fail_request(where, fmt::format("images must be u8 or f32 [N, H, W] or [N, H, W, C], not {}",
                                      images.to_string()));
    }
    if (labels.rank() != 1 || labels.size(0) != images.size(0)) {
      fail_request(where, fmt::format("{} images need as many labels, not {}", images.size(0),
                                      labels.to_string()));
    }
    HEED_CHECK(images.is_contiguous(), "array_images: images must be contiguous");
    height_ = images.size(1);
    width_ = images.size(2);
    channels_ = images.rank() == 4 ? images.size(3) : 1;
  }

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  int64_t label(int64_t index) const override { return labels_.at(static_cast<size_t>(index)); }
  std::string name(int64_t index) const override { return fmt::format("{}[{}]", name_, index); }

  Image load(int64_t index) const override {
    HEED_CHECK(index >= 0 && index < size(), "images: {} of {}", index, size());
    Image out(height_, width_, channels_);
    const auto count = static_cast<int64_t>(out.values.size());
    if (images_.dtype() == DType::u8) {
      bytes_to_unit(images_.data<uint8_t>() + index * count, count, out.values.data());
    } else {
      std::copy_n(images_.data<float>() + index * count, count, out.values.data());
    }
    return out;
  }

 private:
  Tensor images_;
  std::vector<int64_t> labels_;
  std::string name_;
  int64_t height_ = 0, width_ = 0, channels_ = 0;
};

}  // namespace

std::unique_ptr<ImageSource> encoded_images(std::vector<EncodedImage> images, int64_t channels,
                                            int64_t cache_bytes,
                                            std::shared_ptr<const void> owner) {
  return std::make_unique<EncodedImages>(std::move(images), channels, cache_bytes,
                                         std::move(owner));
}

std::unique_ptr<ImageSource> array_images(const Tensor& images, const Tensor& labels,
                                          const std::string& name) {
  return std::make_unique<ArrayImages>(images, labels, name);
}

}  // namespace heed::data
