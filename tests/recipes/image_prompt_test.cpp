// Pictures as models on the hub want them, and prompts about them. tests/interop/hf_check.py
// compares with transformers.
#include "recipes/engine/image_prompt.h"

#include <gmock/gmock.h>

#include "data/image_codec.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/language_modeling.h"
#include "tests/recipes/hub_runs.h"

namespace heed::recipes {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ImagePrompt : public HubRuns {
 protected:
  /// A picture whose pixel (y, x) has red y, green x and blue 7.
  std::string picture(int64_t height, int64_t width) const {
    data::ByteImage image(height, width, 3, 7);
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        image.at(y, x)[0] = static_cast<uint8_t>(y);
        image.at(y, x)[1] = static_cast<uint8_t>(x);
      }
    }
    return folder.write("picture.png", data::encode_png(image));
  }
  void preprocessor(const std::string& json) const {
    folder.write("assets/hf-preprocessor_config.json", json);
  }
  std::vector<float> read(const std::string& file, const Shape& shape) const {
    return read_image_prompt(file, folder.path("assets"), shape).to_vector<float>();
  }
  std::string refusal(const std::string& file, const Shape& shape) const {
    return request_error([&] { read(file, shape); });
  }
};

// Without a config: the shorter side to the height, the middle, CLIP's means and deviations.
TEST_F(ImagePrompt, IsReadAsClipReadsItWithoutAConfig) {
  const std::vector<float> values = read(picture(4, 8), {4, 4, 3});
  ASSERT_EQ(values.size(), 48u);
  for (size_t y = 0; y < 4; ++y) {
    for (size_t x = 0; x < 4; ++x) {
      const float* pixel = values.data() + 3 * (4 * y + x);
      const double fy = static_cast<double>(y), fx = static_cast<double>(x + 2);  // the middle
      EXPECT_NEAR(pixel[0], (fy / 255 - 0.48145466) / 0.26862954, 1e-6);
      EXPECT_NEAR(pixel[1], (fx / 255 - 0.4578275) / 0.26130258, 1e-6);
      EXPECT_NEAR(pixel[2], (7.0 / 255 - 0.40821073) / 0.27577711, 1e-6);
    }
  }
}

TEST_F(ImagePrompt, FollowsTheConfigItCameWith) {
  preprocessor(R"({"do_resize": true, "size": {"height": 2, "width": 3}, "resample": 0,
                   "do_center_crop": false, "do_rescale": false, "do_normalize": true,
                   "image_mean": [1, 2, 3], "image_std": [2, 4, 8]})");
  // Nearest: rows 1 and 3, columns 1, 3 and 5 (of centres (i + 1/2) 2).
  const std::vector<float> values = read(picture(4, 6), {2, 3, 3});
  for (size_t y = 0; y < 2; ++y) {
    for (size_t x = 0; x < 3; ++x) {
      const float* pixel = values.data() + 3 * (3 * y + x);
      // (A byte over 255 in f32, and times 255 again.)
      EXPECT_NEAR(pixel[0], (2.0 * static_cast<double>(y) + 1 - 1) / 2, 1e-6);
      EXPECT_NEAR(pixel[1], (2.0 * static_cast<double>(x) + 1 - 2) / 4, 1e-6);
      EXPECT_NEAR(pixel[2], (7.0 - 3) / 8, 1e-6);
    }
  }
}

TEST_F(ImagePrompt, ShapesThatTheModelHasNotAreRefused) {
  preprocessor(R"({"size": {"height": 3, "width": 3}, "do_center_crop": false})");
  EXPECT_THAT(
      refusal(picture(4, 6), {4, 4, 3}),
      HasSubstr("picture.png: becomes 3 x 3 pixels of 3 channels, and the model reads 4 x 4"));
  preprocessor(R"({"crop_size": {"height": 16384, "width": 16384}})");
  EXPECT_THAT(refusal(picture(4, 6), {4, 4, 3}), HasSubstr("becomes 16384 x 16384"));
}

// A strip would grow by its longer side over its shorter one.
TEST_F(ImagePrompt, PicturesHaveALargestSize) {
  preprocessor(R"({"size": {"shortest_edge": 8}})");
  EXPECT_EQ(refusal(picture(1, 1000), {8, 8, 3}), "no error");
  preprocessor(R"({"size": {"shortest_edge": 336}})");
  EXPECT_THAT(refusal(picture(1, 2000), {336, 336, 3}),
              AllOf(HasSubstr("1 x 2000 pixels become 336 x 672000 when resized"),
                    HasSubstr("at most 134217728")));
  for (const char* size : {"0", "-4", "16385", "4611686018427387904"}) {
    preprocessor(fmt::format(R"({{"size": {}}})", size));
    EXPECT_THAT(refusal(picture(4, 4), {4, 4, 3}),
                AllOf(HasSubstr("hf-preprocessor_config.json:1:"),
                      HasSubstr(fmt::format("a size of {} pixels", size))));
  }
}

TEST_F(ImagePrompt, ConfigsThatSayWhatHeedDoesNotAreRefused) {
  const auto with = [&](const std::string& member) {
    preprocessor("{" + member + "}");
    return refusal(picture(4, 4), {4, 4, 3});
  };
  EXPECT_THAT(with(R"("do_pad": true)"), HasSubstr("'do_pad' of pictures is not supported"));
  EXPECT_THAT(with(R"("resample": 6)"), HasSubstr("'resample' is 6; known: 0 to 5"));
  EXPECT_THAT(with(R"("image_mean": [0.5])"), HasSubstr("'image_mean' has 1 numbers for 3"));
  EXPECT_THAT(with(R"("image_std": [0.5, 0, 0.5])"), HasSubstr("'image_std' must be above 0"));
}

TEST_F(ImagePrompt, APromptHasOneImageAndEndsInTheContext) {
  train("run", {kLlava});
  train("text", {kLlama});
  const std::string file = picture(4, 4);
  GenerateOptions options;
  options.greedy = true;
  options.max_tokens = 100;
  const auto about = [&](const std::string& run_folder, const std::string& prompt) {
    const LoadedRun run = load_run(folder.path(run_folder), TaskUse::generate);
    auto& task = dynamic_cast<LanguageModeling&>(*run.task);
    return task.generate_about(file, run.checkpoint.path, prompt, options, {});
  };
  // Four states of the image and two bytes of eight: two more are written, in front or between.
  for (const char* prompt : {"ab", "a<image>b", "<image>ab", "ab<image>"}) {
    const Generated found = about("run", prompt);
    EXPECT_EQ(found.prompt_tokens, 6) << prompt;
    EXPECT_EQ(found.tokens, 2) << prompt;
    EXPECT_EQ(found.stopped_by, "context") << prompt;
  }
  EXPECT_THAT(request_error([&] { about("run", "<image> and <image>"); }),
              HasSubstr("the prompt speaks of several images, and one is given"));
  EXPECT_THAT(request_error([&] { about("run", "abcd"); }),
              HasSubstr("image and prompt are 8 tokens, and the model's context 8"));
  EXPECT_THAT(request_error([&] { about("text", "ab"); }), HasSubstr("reads no images"));
}

}  // namespace
}  // namespace heed::recipes
