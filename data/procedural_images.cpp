#include "data/procedural_images.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/procedural_figures.h"

namespace heed::data {
namespace {

constexpr double kPi = std::numbers::pi;

Image shape_image(int64_t label, int64_t size, const RandomKey& key) {
  Draws draws(key);
  Image image(size, size, 3);
  const Colour ground = draws.colour(0, 0.4);
  for (size_t i = 0; i < image.values.size(); ++i) image.values[i] = ground[i % 3];
  const auto extent = static_cast<double>(size);
  Figure figure{label};
  figure.radius = draws.uniform(0.2, 0.35) * extent;
  figure.x = draws.uniform(figure.radius, extent - 1 - figure.radius);
  figure.y = draws.uniform(figure.radius, extent - 1 - figure.radius);
  figure.turn = draws.uniform(0, 2 * kPi);
  figure.colour = draws.colour(0.6, 1);
  paint(figure, size, image.values.data());
  return image;
}

// Fills an image with value(x, y) of [-1, 1], x and y in periods of the image's width, between two
// colours.
template <class Value>
Image pattern(int64_t size, Draws& draws, Value&& value) {
  Image image(size, size, 3);
  const Colour low = draws.colour(0, 0.5), high = draws.colour(0.5, 1);
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const double u = static_cast<double>(x) / static_cast<double>(size);
      const double v = static_cast<double>(y) / static_cast<double>(size);
      const auto mix = static_cast<float>(std::clamp(0.5 + 0.5 * value(u, v), 0.0, 1.0));
      for (size_t k = 0; k < 3; ++k) image.at(y, x)[k] = low[k] + mix * (high[k] - low[k]);
    }
  }
  return image;
}

Image grating_image(int64_t label, int64_t size, const RandomKey& key) {
  Draws draws(key);
  const double angle = kPi * static_cast<double>(label) / 8, frequency = draws.uniform(3, 6);
  const double phase = draws.uniform(0, 2 * kPi), contrast = draws.uniform(0.4, 0.9);
  const RandomStream noise(key.derive("noise"));
  uint64_t nth = 0;
  return pattern(size, draws, [&](double u, double v) {
    const double along = std::cos(angle) * u + std::sin(angle) * v;
    return contrast * std::sin(2 * kPi * frequency * along + phase) +
           0.2 * static_cast<double>(noise.normal(nth++));
  });
}

Image texture_image(int64_t label, int64_t size, const RandomKey& key) {
  Draws draws(key);
  const double f = 2 * kPi * draws.uniform(3, 5), p = draws.uniform(0, 2 * kPi);
  const double q = draws.uniform(0, 2 * kPi), turn = draws.uniform(0, kPi);
  const double c = std::cos(turn), s = std::sin(turn);
  const RandomStream noise(key.derive("noise"));
  uint64_t nth = 0;
  return pattern(size, draws, [&](double x, double y) {
    const double a = std::sin(f * (c * x + s * y) + p), b = std::sin(f * (c * y - s * x) + q);
    switch (label) {
      case 0:
        return a;  // stripes
      case 1:
        return a * b > 0 ? 1.0 : -1.0;  // checks
      case 2:
        return a > 0.3 && b > 0.3 ? 1.0 : -1.0;  // dots
      case 3:
        return std::sin(2 * f * std::hypot(x - 0.5, y - 0.5) + p);  // rings
      case 4:
        return 0.5 * (a + b);  // plaid
      default:
        return static_cast<double>(noise.normal(nth++));  // noise
    }
  });
}

// Grey values around the middle: x of unit size as 0.5 + x / 8, where the range cuts off one of
// 16,000 normal draws.
Image grey_image(int64_t size, const std::vector<double>& values) {
  Image image(size, size, 1);
  for (size_t i = 0; i < values.size(); ++i)
    image.values[i] = static_cast<float>(std::clamp(0.5 + values[i] / 8, 0.0, 1.0));
  return image;
}

constexpr int64_t kGlyphs = 10, kGlyphSize = 9;

// Pixels of -1 and 1 under noise of deviation 1/2.
Image glyph_image(int64_t label, int64_t size, const RandomKey& key) {
  HEED_CHECK(size >= kGlyphSize, "images: glyphs of {} pixels in images of {}", kGlyphSize, size);
  const RandomStream signs({1234, hash_name("data/glyphs"), static_cast<uint64_t>(label)});
  const RandomStream place(key.derive("place")), noise(key.derive("noise"));
  std::vector<double> values(static_cast<size_t>(size * size));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.5 * static_cast<double>(noise.normal(i));
  const auto room = static_cast<uint64_t>(size - kGlyphSize + 1);
  const auto top = static_cast<int64_t>(place.below(0, room));
  const auto left = static_cast<int64_t>(place.below(1, room));
  for (int64_t y = 0; y < kGlyphSize; ++y) {
    for (int64_t x = 0; x < kGlyphSize; ++x) {
      const bool black = signs.below(static_cast<uint64_t>(y * kGlyphSize + x), 2) == 0;
      values[static_cast<size_t>((top + y) * size + left + x)] += black ? -1.0 : 1.0;
    }
  }
  return grey_image(size, values);
}

constexpr int64_t kEchoDistance = 9;

// x = (n + n shifted) / sqrt(2) of independent normal n, round the borders: every pixel is standard
// normal, those at the distance have a correlation of 1/2, and all others none. Each direction has
// as many such pairs, so that the mean of the image (or of any function of its pixels) has one
// spread.
Image echo_image(int64_t label, int64_t size, const RandomKey& key) {
  HEED_CHECK(size > kEchoDistance && size != 2 * kEchoDistance,
             "images: echoes at {} pixels, round the borders, want images larger than that and not "
             "twice as large, got {}",
             kEchoDistance, size);
  const int64_t across[] = {1, 0, 1, -1}, down[] = {0, 1, 1, 1};
  const RandomStream noise(key.derive("noise"));
  std::vector<double> normals(static_cast<size_t>(size * size));
  for (size_t i = 0; i < normals.size(); ++i) normals[i] = static_cast<double>(noise.normal(i));
  const auto normal = [&](int64_t y, int64_t x) {
    return normals[static_cast<size_t>(y % size * size + (x + size) % size)];
  };
  std::vector<double> values;
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const double echo =
          normal(y + down[label] * kEchoDistance, x + across[label] * kEchoDistance);
      values.push_back((normal(y, x) + echo) / std::numbers::sqrt2);
    }
  }
  return grey_image(size, values);
}

class ProceduralSource : public ImageSource {
 public:
  ProceduralSource(std::string content, int64_t size, int64_t count, const RandomKey& key)
      : content_(std::move(content)),
        classes_(static_cast<int64_t>(procedural_classes(content_).size())),
        side_(size),
        count_(count),
        key_(key) {}

  int64_t size() const override { return count_; }
  int64_t label(int64_t index) const override { return index % classes_; }
  std::string name(int64_t index) const override { return fmt::format("{}[{}]", content_, index); }
  Image load(int64_t index) const override {
    HEED_CHECK(index >= 0 && index < count_, "images: {} of {}", index, count_);
    return procedural_image(content_, label(index), side_,
                            key_.derive(static_cast<uint64_t>(index)));
  }

 private:
  std::string content_;
  int64_t classes_, side_, count_;
  RandomKey key_;
};

// Where a point that starts at `start` and bounces between 0 and `room` is after `way`.
double bounce(double start, double way, double room) {
  if (room <= 0) return 0;
  double at = std::fmod(start + way, 2 * room);
  if (at < 0) at += 2 * room;
  return at <= room ? at : 2 * room - at;
}

}  // namespace

void ProceduralOptions::options(Options& o) {
  o.field("content", content, "what the images show",
          {.one_of = {"shapes", "gratings", "textures", "glyphs", "echoes"}});
  o.field("size", size, "pixels on each side", {.min = 8, .max = 4096});
  o.field("train", train, "training examples", {.min = 1});
  o.field("validation", validation, "validation examples", {.min = 0});
  o.field("test", test, "test examples", {.min = 0});
  o.field("seed", seed, "of the content", {.min = 0});
  images.options(o);
}

std::vector<std::string> procedural_classes(const std::string& content) {
  if (content == "shapes") return {"disc", "square", "triangle", "ring", "cross", "bar"};
  if (content == "textures") return {"stripes", "checks", "dots", "rings", "plaid", "noise"};
  if (content == "echoes") return {"across", "down", "diagonal", "other diagonal"};
  std::vector<std::string> names;
  if (content == "glyphs") {
    for (int64_t i = 0; i < kGlyphs; ++i) names.push_back(fmt::format("glyph {}", i));
    return names;
  }
  if (content != "gratings") {
    fail_request("images: unknown content '{}' (known: shapes, gratings, textures, glyphs, echoes)",
                 content);
  }
  for (int i = 0; i < 8; ++i) names.push_back(fmt::format("{} degrees", 22.5 * i));
  return names;
}

Image procedural_image(const std::string& content, int64_t label, int64_t size,
                       const RandomKey& key) {
  const auto classes = static_cast<int64_t>(procedural_classes(content).size());
  HEED_CHECK(label >= 0 && label < classes && size >= 1, "images: class {} of {}, size {}", label,
             classes, size);
  if (content == "shapes") return shape_image(label, size, key);
  if (content == "glyphs") return glyph_image(label, size, key);
  if (content == "echoes") return echo_image(label, size, key);
  return content == "gratings" ? grating_image(label, size, key) : texture_image(label, size, key);
}

std::unique_ptr<LabelledDataset> open_procedural(const ProceduralOptions& options,
                                                 const SourceLocation& where) {
  const RandomKey key{static_cast<uint64_t>(options.seed), hash_name("data/procedural"), 0};
  const auto part = [&](int64_t count, Part which) -> std::shared_ptr<const ImageSource> {
    if (count == 0) return nullptr;
    return std::make_shared<ProceduralSource>(options.content, options.size, count,
                                              key.derive(name_of(which)));
  };
  return std::make_unique<ImageDataset>(
      ImageSources{part(options.train, Part::train), part(options.validation, Part::validation),
                   part(options.test, Part::test)},
      options.images, procedural_classes(options.content), where);
}

Tensor moving_shapes(int64_t frames, int64_t size, int64_t shapes, uint64_t seed, int64_t index) {
  HEED_CHECK(frames >= 1 && size >= 8 && shapes >= 1, "moving_shapes: {} frames of {}, {} shapes",
             frames, size, shapes);
  Draws draws({seed, hash_name("data/moving_shapes"), static_cast<uint64_t>(index)});
  const auto extent = static_cast<double>(size);
  struct Motion {
    Figure figure;
    double x, y, vx, vy, spin;
  };
  std::vector<Motion> motions;
  for (int64_t i = 0; i < shapes; ++i) {
    Motion m{};
    m.figure.shape = static_cast<int64_t>(draws.uniform(0, 6));
    m.figure.radius = draws.uniform(0.12, 0.2) * extent;
    m.figure.colour = draws.colour(0.4, 1);
    m.figure.turn = draws.uniform(0, 2 * kPi);
    const double room = extent - 1 - 2 * m.figure.radius;
    m.x = draws.uniform(0, room);
    m.y = draws.uniform(0, room);
    const double angle = draws.uniform(0, 2 * kPi), speed = draws.uniform(0.03, 0.08) * extent;
    m.vx = speed * std::cos(angle);
    m.vy = speed * std::sin(angle);
    m.spin = draws.uniform(-0.2, 0.2);
    motions.push_back(m);
  }
  Tensor clip = Tensor::zeros({frames, size, size, 3}, DType::f32);
  for (int64_t frame = 0; frame < frames; ++frame) {
    const auto time = static_cast<double>(frame);
    for (const Motion& m : motions) {
      Figure figure = m.figure;
      const double room = extent - 1 - 2 * figure.radius;
      figure.x = figure.radius + bounce(m.x, m.vx * time, room);
      figure.y = figure.radius + bounce(m.y, m.vy * time, room);
      figure.turn += m.spin * time;
      paint(figure, size, clip.data<float>() + frame * size * size * 3);
    }
  }
  return clip;
}

}  // namespace heed::data
