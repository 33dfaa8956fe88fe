// Images as texts, for language models: a token for each channel of each pixel, in raster order
// (van den Oord et al., "Pixel recurrent neural networks", arXiv 1601.06759).
//
//   <|endoftext|> r g b r g b ... <|endoftext|> r g b ...
//
// Every image is a document of 1 + H W C tokens. Where a model's context is that long, windows are
// taken by `sampling: epochs` and documents are kept apart, each window is one image, every value
// is predicted from those before it, and bits_per_token is the bits per dimension of the field.
#pragma once

#include <memory>

#include "core/options.h"
#include "data/text_dataset.h"

namespace heed::data {

struct PixelTokenOptions {
  Config images;
  int64_t levels = 256;
  void options(Options& o);
};

/// The images of another dataset (kind "images", values in [0, 1], as they are in evaluation: what
/// training draws at random is left out), as tokens round(value (levels - 1)) of the vocabulary of
/// bytes. Its training and validation parts are the text's. RequestErrors name images with values
/// outside [0, 1].
std::unique_ptr<TextDataset> open_pixel_tokens(const PixelTokenOptions& options,
                                               const SourceLocation& where = {});

}  // namespace heed::data
