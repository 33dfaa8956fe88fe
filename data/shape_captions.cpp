// Pictures of figures with what stands in them in words.
#include <array>
#include <numeric>

#include "data/image_texts.h"
#include "data/procedural_figures.h"
#include "data/procedural_images.h"

namespace heed::data {
namespace {

struct Named {
  const char* name;
  Colour colour;
};
constexpr std::array<Named, 6> kColours = {
    Named{"red", {0.9f, 0.1f, 0.1f}},  Named{"green", {0.1f, 0.8f, 0.2f}},
    Named{"blue", {0.2f, 0.3f, 1.0f}}, Named{"yellow", {0.95f, 0.9f, 0.1f}},
    Named{"pink", {1.0f, 0.4f, 0.8f}}, Named{"white", {0.95f, 0.95f, 0.95f}}};

uint64_t seed_of(const ShapeCaptionOptions& options, Part part) {
  return mix(static_cast<uint64_t>(options.parts.seed) ^ hash_name(name_of(part)));
}

// Draws a figure within a box and paints it; its words.
std::string add_figure(Draws& draws, double left, double top, double width, double height,
                       int64_t size, const std::vector<std::string>& shapes, Image& image) {
  const auto pick = [&](size_t count) {
    return static_cast<size_t>(draws.uniform(0, static_cast<double>(count)));
  };
  const size_t shape = pick(shapes.size());
  const Named& colour = kColours[pick(kColours.size())];
  Figure figure{static_cast<int64_t>(shape)};
  figure.radius = draws.uniform(0.3, 0.42) * std::min(width, height);
  figure.x = draws.uniform(left + figure.radius, left + width - 1 - figure.radius);
  figure.y = draws.uniform(top + figure.radius, top + height - 1 - figure.radius);
  figure.turn = draws.uniform(-0.2, 0.2);
  figure.colour = colour.colour;
  paint(figure, size, image.values.data());
  return fmt::format("a {} {}", colour.name, shapes[shape]);
}

class ShapeCaptions : public ImageTexts {
 public:
  ShapeCaptions(const ShapeCaptionOptions& options, const SourceLocation& where)
      : ImageTexts(options.common), options_(options) {
    const int64_t sizes[] = {options.parts.train, options.parts.validation, options.parts.test};
    for (const Part part : {Part::train, Part::validation, Part::test}) {
      auto& own = turns_[static_cast<size_t>(part)];
      for (int64_t i = 0; i < sizes[static_cast<size_t>(part)]; ++i) {
        own.push_back({{"", shape_caption(options, part, i).text}});
      }
    }
    make_tokenizer(where);
  }

  int64_t size(Part part) const override { return std::ssize(turns_[static_cast<size_t>(part)]); }
  const std::vector<Turn>& turns(Part part, int64_t example) const override {
    return turns_[static_cast<size_t>(part)][static_cast<size_t>(example)];
  }
  ByteImage picture(Part part, int64_t example) const override {
    return shape_caption(options_, part, example).image;
  }

 private:
  ShapeCaptionOptions options_;
  std::vector<std::vector<Turn>> turns_[3];
};

}  // namespace

void ShapeCaptionOptions::options(Options& o) {
  o.field("size", size, "rows and columns of a picture", {.min = 16, .max = 512});
  o.field("figures", figures, "figures in a picture: one, or two and how they lie",
          {.min = 1, .max = 2});
  parts.options(o);
  common.options(o);
}

ShapeCaption shape_caption(const ShapeCaptionOptions& options, Part part, int64_t index) {
  static const std::vector<std::string> shapes = procedural_classes("shapes");
  Draws draws(RandomKey{seed_of(options, part), hash_name("data/shape-captions"),
                        static_cast<uint64_t>(index)});
  Image image(options.size, options.size, 3);
  const Colour ground = draws.colour(0, 0.25);
  for (size_t i = 0; i < image.values.size(); ++i) image.values[i] = ground[i % 3];
  const auto whole = static_cast<double>(options.size), half = whole / 2;
  ShapeCaption made;
  if (options.figures == 1) {
    made.text = add_figure(draws, 0, 0, whole, whole, options.size, shapes, image);
  } else {
    const bool beside = draws.uniform(0, 1) < 0.5;
    const double width = beside ? half : whole, height = beside ? whole : half;
    made.text = add_figure(draws, 0, 0, width, height, options.size, shapes, image);
    made.text += beside ? " left of " : " above ";
    made.text += add_figure(draws, beside ? half : 0, beside ? 0 : half, width, height,
                            options.size, shapes, image);
  }
  made.image = to_bytes(image);
  return made;
}

std::unique_ptr<ImageTexts> open_shape_captions(const ShapeCaptionOptions& options,
                                                const SourceLocation& where) {
  return std::make_unique<ShapeCaptions>(options, where);
}

}  // namespace heed::data
