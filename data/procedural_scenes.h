// Procedural datasets beyond one picture, one class: scenes and grids in which every pixel has a
// class, and clips. Example `index` is a function of (seed, part, index) alone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/options.h"
#include "data/image.h"
#include "data/labelled_dataset.h"

namespace heed::data {

/// What both are cut by.
struct ProceduralParts {
  int64_t train = 10000;
  int64_t validation = 500;
  int64_t test = 500;
  int64_t seed = 0;

  void options(Options& o);
};

struct ShapeScenesOptions {
  int64_t size = 32;
  int64_t shapes = 4;
  double noise = 0.05;
  ProceduralParts parts;

  void options(Options& o);
};

struct Scene {
  Image image;  ///< RGB of [0, 1]
  std::vector<int64_t>
      labels;  ///< [size, size]: 0 is the ground, 1 + s shape s of procedural_images
};

/// 1 to `shapes` shapes of any kind, place, size, turn and colour on a darker ground, under noise
/// of that deviation. A pixel is of the topmost shape that covers half of it or more.
Scene shape_scene(int64_t size, int64_t shapes, double noise, const RandomKey& key);

/// Kind "masks"; the classes are "ground" and the shapes.
std::unique_ptr<LabelledDataset> open_shape_scenes(const ShapeScenesOptions& options,
                                                   const SourceLocation& where = {});

/// What a model sees of its surroundings: grids of random colours, each of whose pixels is to be
/// told the colour of the one `down` rows below and `right` columns beside it.
struct ColourCopyOptions {
  int64_t size = 16;
  int64_t down = 0;
  int64_t right = 6;
  ProceduralParts parts;

  void options(Options& o);
};

/// Kind "masks" of four classes at equal distances in RGB, each as likely for every pixel. Pixels
/// whose goal lies beyond the border have no class (kIgnoreTarget).
std::unique_ptr<LabelledDataset> open_colour_copy(const ColourCopyOptions& options,
                                                  const SourceLocation& where = {});

struct MovingShapesOptions {
  int64_t frames = 8;
  int64_t size = 32;
  int64_t shapes = 2;
  ProceduralParts parts;

  void options(Options& o);
};

/// Kind "clips", all of one class: see moving_shapes() in procedural_images.h.
std::unique_ptr<LabelledDataset> open_moving_shapes(const MovingShapesOptions& options,
                                                    const SourceLocation& where = {});

}  // namespace heed::data
