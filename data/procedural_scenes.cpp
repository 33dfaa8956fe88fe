#include "data/procedural_scenes.h"

#include <algorithm>
#include <cstdlib>
#include <numbers>

#include "data/procedural_figures.h"
#include "data/procedural_images.h"

namespace heed::data {
namespace {

// A dataset whose examples are made one by one: `write` fills an image and its labels.
class MadeImages : public LabelledDataset {
 public:
  MadeImages(const ProceduralParts& parts, Shape example, Shape labels)
      : parts_(parts), example_(std::move(example)), labels_(std::move(labels)) {}

  int64_t size(Part part) const override {
    const int64_t sizes[] = {parts_.train, parts_.validation, parts_.test};
    return sizes[static_cast<size_t>(part)];
  }
  Shape example_shape() const override { return example_; }

  LabelledBatch gather(Part part, std::span<const ExampleRow> rows) const override {
    const auto batched = [&](const Shape& shape) {
      Shape all{static_cast<int64_t>(rows.size())};
      for (const int64_t extent : shape) all.push_back(extent);
      return all;
    };
    ImageBatch batch;
    batch.images = Tensor::zeros(batched(example_), DType::f32);
    batch.labels = Tensor::full(batched(labels_), static_cast<double>(kIgnoreTarget), DType::i64);
    for (size_t row = 0; row < rows.size(); ++row) {
      const int64_t example = rows[row].example;
      if (example < 0) continue;
      HEED_CHECK(example < size(part), "images: {} of {}", example, size(part));
      write(part, example,
            batch.images.data<float>() + static_cast<int64_t>(row) * example_.numel(),
            batch.labels.data<int64_t>() + static_cast<int64_t>(row) * labels_.numel());
    }
    return batch;
  }

 protected:
  virtual void write(Part part, int64_t example, float* image, int64_t* labels) const = 0;

  uint64_t seed() const { return static_cast<uint64_t>(parts_.seed); }
  void summarise(const std::string& what) {
    summary_ = fmt::format("{}: {} for training, {} for validation, {} for testing; {} classes",
                           what, parts_.train, parts_.validation, parts_.test, classes());
  }

 private:
  ProceduralParts parts_;
  Shape example_, labels_;
};

// Square images whose pixels have classes.
class MadeMasks : public MadeImages {
 public:
  MadeMasks(const ProceduralParts& parts, int64_t size)
      : MadeImages(parts, {size, size, 3}, {size, size}) {}

  const char* kind() const override { return "masks"; }
  int64_t label(Part, int64_t) const override {
    fail("masks: an image has no class, its pixels have");
  }
};

class ShapeScenes : public MadeMasks {
 public:
  explicit ShapeScenes(const ShapeScenesOptions& o) : MadeMasks(o.parts, o.size), options_(o) {
    class_names_ = procedural_classes("shapes");
    class_names_.insert(class_names_.begin(), "ground");
    summarise(fmt::format("scenes of {} x {} with up to {} shapes", o.size, o.size, o.shapes));
  }

 protected:
  void write(Part part, int64_t example, float* image, int64_t* labels) const override {
    const RandomKey key{seed(), hash_name("data/shape_scenes"), 0};
    const Scene scene =
        shape_scene(options_.size, options_.shapes, options_.noise,
                    key.derive(name_of(part)).derive(static_cast<uint64_t>(example)));
    std::copy(scene.image.values.begin(), scene.image.values.end(), image);
    std::copy(scene.labels.begin(), scene.labels.end(), labels);
  }

 private:
  ShapeScenesOptions options_;
};

// Corners of a cube that are a tetrahedron's.
constexpr Colour kCopied[] = {{0, 0, 0}, {1, 1, 0}, {1, 0, 1}, {0, 1, 1}};

class ColourCopy : public MadeMasks {
 public:
  explicit ColourCopy(const ColourCopyOptions& o) : MadeMasks(o.parts, o.size), options_(o) {
    class_names_ = {"black", "yellow", "magenta", "cyan"};
    summarise(fmt::format("grids of {} x {} colours, to be copied from {} down and {} right",
                          o.size, o.size, o.down, o.right));
  }

 protected:
  void write(Part part, int64_t example, float* image, int64_t* labels) const override {
    const RandomKey key{seed(), hash_name("data/colour_copy"), 0};
    const RandomStream draws(key.derive(name_of(part)).derive(static_cast<uint64_t>(example)));
    const int64_t size = options_.size;
    std::vector<int64_t> colours(static_cast<size_t>(size * size));
    for (size_t pixel = 0; pixel < colours.size(); ++pixel) {
      colours[pixel] = static_cast<int64_t>(draws.below(pixel, std::size(kCopied)));
      const Colour& own = kCopied[colours[pixel]];
      std::copy(own.begin(), own.end(), image + 3 * pixel);
    }
    for (int64_t row = 0; row < size; ++row) {
      for (int64_t column = 0; column < size; ++column) {
        const int64_t below = row + options_.down, beside = column + options_.right;
        const bool inside = below >= 0 && below < size && beside >= 0 && beside < size;
        labels[row * size + column] =
            inside ? colours[static_cast<size_t>(below * size + beside)] : kIgnoreTarget;
      }
    }
  }

 private:
  ColourCopyOptions options_;
};

class MovingShapes : public MadeImages {
 public:
  explicit MovingShapes(const MovingShapesOptions& o)
      : MadeImages(o.parts, {o.frames, o.size, o.size, 3}, {}), options_(o) {
    class_names_ = {"moving"};
    summarise(fmt::format("clips of {} frames of {} x {} with {} shapes", o.frames, o.size, o.size,
                          o.shapes));
  }

  const char* kind() const override { return "clips"; }
  int64_t label(Part, int64_t) const override { return 0; }

 protected:
  void write(Part part, int64_t example, float* image, int64_t* labels) const override {
    const uint64_t own = mix(seed() ^ hash_name(name_of(part)));
    const Tensor clip =
        moving_shapes(options_.frames, options_.size, options_.shapes, own, example);
    std::copy_n(clip.data<float>(), clip.numel(), image);
    *labels = 0;
  }

 private:
  MovingShapesOptions options_;
};

}  // namespace

void ProceduralParts::options(Options& o) {
  o.field("train", train, "training examples", {.min = 1});
  o.field("validation", validation, "validation examples", {.min = 0});
  o.field("test", test, "test examples", {.min = 0});
  o.field("seed", seed, "of the content", {.min = 0});
}

void ShapeScenesOptions::options(Options& o) {
  o.field("size", size, "pixels on each side", {.min = 8, .max = 4096});
  o.field("shapes", shapes, "shapes of a scene, at most", {.min = 1, .max = 1000});
  o.field("noise", noise, "deviation of the noise over all", {.min = 0});
  parts.options(o);
}

void ColourCopyOptions::options(Options& o) {
  o.field("size", size, "pixels on each side", {.min = 1, .max = 4096});
  o.field("down", down, "rows from a pixel down to the one whose colour it is to be told");
  o.field("right", right, "columns from it to the right");
  parts.options(o);
  o.check(std::abs(down) < size && std::abs(right) < size, "size",
          fmt::format("down ({}) and right ({}) must stay within {} pixels", down, right, size));
}

void MovingShapesOptions::options(Options& o) {
  o.field("frames", frames, "of a clip", {.min = 1});
  o.field("size", size, "pixels on each side", {.min = 8, .max = 4096});
  o.field("shapes", shapes, "shapes of a clip", {.min = 1, .max = 1000});
  parts.options(o);
}

Scene shape_scene(int64_t size, int64_t shapes, double noise, const RandomKey& key) {
  HEED_CHECK(size >= 8 && shapes >= 1, "shape_scene: size {}, {} shapes", size, shapes);
  Draws draws(key);
  const auto extent = static_cast<double>(size);
  Scene scene{Image(size, size, 3), std::vector<int64_t>(static_cast<size_t>(size * size), 0)};
  const Colour ground = draws.colour(0, 0.4);
  for (size_t i = 0; i < scene.image.values.size(); ++i) scene.image.values[i] = ground[i % 3];
  const auto count = 1 + static_cast<int64_t>(draws.uniform(0, static_cast<double>(shapes)));
  for (int64_t n = 0; n < count; ++n) {
    Figure figure{static_cast<int64_t>(draws.uniform(0, kFigureShapes))};
    figure.radius = draws.uniform(0.15, 0.28) * extent;
    figure.x = draws.uniform(0.1, 0.9) * extent;
    figure.y = draws.uniform(0.1, 0.9) * extent;
    figure.turn = draws.uniform(0, 2 * std::numbers::pi);
    figure.colour = draws.colour(0.5, 1);
    paint(figure, size, scene.image.values.data());
    for (int64_t i = 0; i < size * size; ++i) {
      if (figure.cover(i / size, i % size) >= 0.5f) {
        scene.labels[static_cast<size_t>(i)] = 1 + figure.shape;
      }
    }
  }
  const RandomStream grain(key.derive("noise"));
  for (size_t i = 0; i < scene.image.values.size(); ++i) {
    const float value = scene.image.values[i] + static_cast<float>(noise) * grain.normal(i);
    scene.image.values[i] = std::clamp(value, 0.0f, 1.0f);
  }
  return scene;
}

std::unique_ptr<LabelledDataset> open_shape_scenes(const ShapeScenesOptions& options,
                                                   const SourceLocation&) {
  return std::make_unique<ShapeScenes>(options);
}

std::unique_ptr<LabelledDataset> open_colour_copy(const ColourCopyOptions& options,
                                                  const SourceLocation&) {
  return std::make_unique<ColourCopy>(options);
}

std::unique_ptr<LabelledDataset> open_moving_shapes(const MovingShapesOptions& options,
                                                    const SourceLocation&) {
  return std::make_unique<MovingShapes>(options);
}

}  // namespace heed::data
