// Super-resolution: the upsampler and EDSR.
#include "nn/models/edsr.h"

#include <gtest/gtest.h>

#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::gradcheck_module;
using testing::random_tensor;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

std::unique_ptr<ImageModel> make(const std::string& text, const ImageGeometry& data = {}) {
  auto model = make_image_model(yaml(text), data);
  model->initialise(7);
  return model;
}

TEST(Upsampler, GradientsAgreeWithDifferences) {
  for (const int scale : {1, 2, 3, 4}) {
    const Inputs images = {{"x", random_tensor({2, 3, 2, 2}, "x", DType::f64)}};
    EXPECT_EQ(gradcheck_module("upsampler", "layer",
                               yaml(fmt::format("{{dim: 2, scale: {}}}", scale)), images),
              "");
  }
  EXPECT_THROW(find_module("upsampler", "layer").make(yaml("{dim: 2, scale: 6}")), RequestError);
}

TEST(Edsr, GradientsAgreeWithDifferences) {
  const Inputs images = {{"x", random_tensor({2, 3, 5, 2}, "x", DType::f64)}};
  EXPECT_EQ(gradcheck_module("edsr", "model",
                             yaml("{channels: 2, outputs: 3, scale: 2, blocks: 2, dim: 3, "
                                  "residual_scale: 0.5}"),
                             images),
            "");
}

TEST(Edsr, PublishedSizes) {
  // The authors' README (github.com/sanghyun-son/EDSR-PyTorch) has 1.37 M, 1.55 M and 1.52 M of the
  // baseline at scales 2, 3 and 4, and 43.1 M of EDSR at 4; the paper's table 1 has 1.5 M and 43 M.
  const auto count = [](const std::string& preset, int scale) {
    return make(fmt::format("{{type: edsr, preset: {}, scale: {}}}", preset, scale))
        ->parameter_count();
  };
  EXPECT_EQ(count("edsr-baseline", 2), 1369859);
  EXPECT_EQ(count("edsr-baseline", 3), 1554499);
  EXPECT_EQ(count("edsr-baseline", 4), 1517571);
  EXPECT_EQ(count("edsr", 4), 43089923);
}

TEST(Edsr, EnlargesImagesOfAnySize) {
  for (const int scale : {1, 2, 3, 4}) {
    const auto model = make(fmt::format(
        "{{type: edsr, scale: {}, blocks: 1, dim: 4, channels: 1, outputs: 2}}", scale));
    EXPECT_EQ(model->geometry().scale, scale);
    EXPECT_EQ(model->forward(random_tensor({1, 1, 7, 1}, "x")).shape(),
              (Shape{1, scale, 7 * scale, 2}));
  }
  EXPECT_TRUE(enlarges(yaml("{type: edsr}")));
  EXPECT_FALSE(enlarges(yaml("{type: unet}")));
}

TEST(Edsr, OperationsAreCountedBySize) {
  const auto model = make(
      "{type: edsr, height: 4, width: 3, channels: 1, outputs: 2, scale: 2, blocks: 1, dim: 5}");
  const double small = 2.0 * 9 * 12;  // of a pair of channels, at 4 x 3
  EXPECT_DOUBLE_EQ(model->flops(),
                   small * (1 * 5 + 2 * 5 * 5 + 5 * 5 + 5 * 20) + 4 * small * (5 * 2));
}

TEST(Edsr, TakesWhatTheDataKnow) {
  ImageGeometry data;
  data.channels = data.outputs = 3;
  data.scale = 4;
  EXPECT_EQ(make("{type: edsr, blocks: 1, dim: 4}", data)->geometry().scale, 4);
  EXPECT_THROW(make("{type: edsr, blocks: 1, dim: 4, scale: 2}", data), RequestError);
  EXPECT_THROW(make("{type: edsr}"), RequestError);
  data.scale = 5;
  EXPECT_THROW(make("{type: edsr, blocks: 1, dim: 4}", data), Error);
}

}  // namespace
}  // namespace heed::nn
