// What image_codec.cpp and jpeg.cpp share.
#pragma once

#include <cstddef>
#include <cstdio>  // jpeglib.h uses it without including it
#include <span>
#include <string>

#include "data/image.h"

namespace heed::data {

/// RequestError for no pixels or more than kMaxImagePixels.
void check_image_size(int64_t height, int64_t width, const std::string& name);

ByteImage decode_jpeg(std::span<const std::byte> bytes, const std::string& name, int64_t channels);

}  // namespace heed::data
