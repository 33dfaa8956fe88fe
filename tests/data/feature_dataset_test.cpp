#include "data/feature_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/npy.h"
#include "core/safetensors.h"
#include "tests/core/raises.h"
#include "tests/data/test_data.h"
#include "tests/samples.h"

namespace heed::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Tensor labels(std::vector<int64_t> values) {
  const auto count = static_cast<int64_t>(values.size());
  return Tensor::from(values, {count});
}

TEST(Features, VectorsAndSequencesOfArrays) {
  const TemporaryFolder folder;
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    for (const Shape& shape : {Shape{5, 3}, Shape{5, 2, 3}}) {
      const Tensor x = testing::normal(shape, "x", dtype);
      write_safetensors(folder / "f.safetensors",
                        {{"train", x}, {"labels", labels({0, 2, 1, 0, 2})}});
      const std::string file = folder / "f.safetensors";
      const auto data = open_features({.train = file + ":train", .train_labels = file + ":labels"});
      EXPECT_STREQ(data->kind(), "features");
      EXPECT_EQ(data->size(Part::train), 5);
      EXPECT_EQ(data->size(Part::validation), 0);
      EXPECT_THAT(data->class_names(), ElementsAre("0", "1", "2"));
      Shape one = shape;
      one.erase(0);
      EXPECT_EQ(data->example_shape(), one);
      const ExampleRow rows[] = {{3, {}, true}, {-1, {}, false}, {1, {}, false}};
      const auto batch = std::get<ImageBatch>(data->gather(Part::train, rows));
      EXPECT_EQ(batch.count, 2);
      EXPECT_THAT(batch.labels.to_vector<int64_t>(), ElementsAre(0, kIgnoreTarget, 2));
      const std::vector<float> all = x.to_vector<float>(), got = batch.images.to_vector<float>();
      const auto values = static_cast<size_t>(one.numel());
      for (size_t i = 0; i < values; ++i) {
        EXPECT_EQ(got[i], all[3 * values + i]);
        EXPECT_EQ(got[values + i], 0.0f);
        EXPECT_EQ(got[2 * values + i], all[values + i]);
      }
    }
  }
}

TEST(Features, PartsOfTheirOwnOrHeldOut) {
  const TemporaryFolder folder;
  write_npy(folder / "x.npy", testing::normal({20, 3}, "x", DType::f32));
  write_npy(folder / "y.npy", testing::integers({20}, 4, "y"));
  FeatureOptions options{.train = folder / "x.npy", .train_labels = folder / "y.npy"};
  options.held = {.hold_out = 0.2, .hold_out_test = 0.1};
  const auto held = open_features(options);
  EXPECT_EQ(held->size(Part::train), 14);
  EXPECT_EQ(held->size(Part::validation), 4);
  EXPECT_EQ(held->size(Part::test), 2);
  options.validation = folder / "x.npy";
  options.validation_labels = folder / "y.npy";
  EXPECT_EQ(open_features(options)->size(Part::validation), 20);
}

TEST(Features, RefusesWhatDoesNotFit) {
  const TemporaryFolder folder;
  const auto error = [&](const Tensor& x, const Tensor& y) {
    write_npy(folder / "x.npy", x);
    write_npy(folder / "y.npy", y);
    return request_error(
        [&] { open_features({.train = folder / "x.npy", .train_labels = folder / "y.npy"}); });
  };
  const Tensor x = testing::normal({3, 2}, "x", DType::f32);
  EXPECT_THAT(error(testing::normal({3}, "x", DType::f32), labels({0, 1, 0})),
              HasSubstr("features must be floating [N, D] or [N, T, D]"));
  EXPECT_THAT(error(x, labels({0, 1})), HasSubstr("3 features need as many integers as labels"));
  EXPECT_THAT(error(x, labels({0, -1, 0})), HasSubstr("the label -1 is none of the 1 classes"));
  EXPECT_THAT(error(x, testing::normal({3}, "y", DType::f32)), HasSubstr("integers as labels"));
  write_npy(folder / "y.npy", labels({0, 1, 0}));
  write_npy(folder / "wide.npy", testing::normal({3, 4}, "x", DType::f32));
  EXPECT_THAT(request_error([&] {
                open_features({.train = folder / "x.npy",
                               .train_labels = folder / "y.npy",
                               .validation = folder / "wide.npy",
                               .validation_labels = folder / "y.npy"});
              }),
              HasSubstr("features of [4], and [2] in training"));
  EXPECT_THAT(request_error([&] {
                open_features({.train = folder / "x.npy",
                               .train_labels = folder / "y.npy",
                               .test = folder / "x.npy"});
              }),
              HasSubstr("give both or neither"));
  x.data<float>()[3] = std::numeric_limits<float>::infinity();
  write_npy(folder / "x.npy", x);
  const auto data = open_features({.train = folder / "x.npy", .train_labels = folder / "y.npy"});
  const ExampleRow row{1, {}, false};
  EXPECT_THAT(request_error([&] { data->gather(Part::train, std::span(&row, 1)); }),
              HasSubstr("row 1 holds a value that is not finite"));
}

}  // namespace
}  // namespace heed::data
