// JPEG (libjpeg) and PNG (libpng) images, to and from bytes in memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "data/image.h"

namespace heed::data {

/// An image of more pixels than this is refused before memory is taken for it.
inline constexpr int64_t kMaxImagePixels = int64_t{1} << 27;

/// What a picture's transparency is laid over: black, or white as Pillow's alpha_composite has it,
/// to the bit.
enum class Transparency { over_black, over_white };

/// Decodes a JPEG or PNG file's bytes, told apart by how they start. `channels`: 1 or 3 converts to
/// grey or RGB, 0 keeps what the file has (palettes become RGB, 16 bits become 8). A file that is
/// damaged, cut short, too large or of another format is a RequestError that starts with `name`.
ByteImage decode_image(std::span<const std::byte> bytes, const std::string& name,
                       int64_t channels = 0, Transparency transparency = Transparency::over_black);

/// A PNG file of an image with 1 or 3 channels.
std::string encode_png(const ByteImage& image);
/// A baseline JPEG file; `quality` from 1 to 100.
std::string encode_jpeg(const ByteImage& image, int quality = 95);

/// True when the bytes start as a file that decode_image() reads.
bool is_image(std::span<const std::byte> bytes);

}  // namespace heed::data
