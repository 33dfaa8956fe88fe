// Images and clips made by formulas: no files, known content. Example `index` is a function of
// (seed, index) alone.
//
//   shapes     a disc, square, triangle, ring, cross or bar: random place, size, turn and colours
//   gratings   a sine wave under noise; the class is its orientation, one of 8
//   textures   one of 6 patterns in random colours: stripes, checks, dots, rings, plaid, noise
//   glyphs     one of 10 signs of 9 x 9 black and white pixels, the same in every data set, at a
//              random place under noise: what a class looks like where it lies says nothing
//   echoes     grey noise whose pixels resemble those 9 pixels away: across, down or along either
//              diagonal. No statistic of single pixels, and no part of an image smaller than 10
//              pixels, tells the 4 classes apart. For sizes above 9 other than 18
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/image_dataset.h"

namespace heed::data {

struct ProceduralOptions {
  std::string content = "shapes";
  int64_t size = 32;
  int64_t train = 10000;
  int64_t validation = 1000;
  int64_t test = 1000;
  int64_t seed = 0;
  ImageOptions images;

  void options(Options& o);
};

/// Names of the content's classes; RequestError for an unknown content.
std::vector<std::string> procedural_classes(const std::string& content);

/// RGB image of [0, 1] of a class, grey of glyphs and echoes; what the class leaves open is drawn
/// by the key.
Image procedural_image(const std::string& content, int64_t label, int64_t size,
                       const RandomKey& key);

/// The dataset: class of example i is i modulo the classes; the parts have seeds of their own.
std::unique_ptr<LabelledDataset> open_procedural(const ProceduralOptions& options,
                                                 const SourceLocation& where = {});

/// A clip f32 [frames, size, size, 3] of `shapes` shapes that move evenly and bounce off the edges
/// (as Moving MNIST, arXiv 1502.04681, with shapes for digits); later ones cover earlier ones.
Tensor moving_shapes(int64_t frames, int64_t size, int64_t shapes, uint64_t seed, int64_t index);

}  // namespace heed::data
