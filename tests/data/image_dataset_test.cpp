#include "data/image_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/files.h"
#include "core/npy.h"
#include "core/safetensors.h"
#include "data/image_codec.h"
#include "data/image_formats.h"
#include "data/mix.h"
#include "data/prefetch.h"
#include "tests/data/archives.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::HasSubstr;

std::string error_of(const std::string& yaml) {
  try {
    open_labelled_dataset(parse_yaml(yaml, "r.yaml"));
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

ByteImage flat(int64_t side, int value) {
  return ByteImage(side, side, 3, static_cast<uint8_t>(value));
}

// `count` images whose every value is their number, of class number % 3.
std::shared_ptr<const ImageSource> numbered(int64_t count) {
  Tensor images = Tensor::empty({count, 2, 2, 1}, DType::u8);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i) {
    std::fill_n(images.data<uint8_t>() + 4 * i, 4, static_cast<uint8_t>(i));
    labels.push_back(i % 3);
  }
  return array_images(images, Tensor::from(labels, {count}), "numbered");
}

int64_t number_of(const ImageBatch& batch, int64_t row) {
  return std::lround(batch.images.data<float>()[4 * row] * 255);
}

ImageBatch images(LabelledBatch batch) { return std::get<ImageBatch>(std::move(batch)); }

TEST(ImageDataset, AnEpochHoldsEveryExampleOnce) {
  const ImageDataset data({numbered(10), nullptr, nullptr}, {}, {});
  EXPECT_EQ(data.classes(), 3);
  EXPECT_EQ(data.train_batches_per_epoch(4), 3);
  std::multiset<int64_t> seen;
  std::vector<int64_t> first_epoch, second_epoch;
  for (int64_t index = 0; index < 5; ++index) {
    const ImageBatch batch = images(data.train_batch(index, {.batch = 4, .seed = 3}));
    EXPECT_EQ(batch.images.shape(), (Shape{4, 2, 2, 1}));
    EXPECT_EQ(batch.index, index);
    EXPECT_EQ(batch.count, 4);
    for (int64_t row = 0; row < 4; ++row) {
      const int64_t number = number_of(batch, row);
      EXPECT_EQ(batch.labels.data<int64_t>()[row], number % 3);
      seen.insert(number);
      (first_epoch.size() < 10 ? first_epoch : second_epoch).push_back(number);
    }
  }
  for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(seen.count(i), 2u) << i;
  EXPECT_NE(first_epoch, second_epoch);
}

TEST(ImageDataset, RepeatedExamplesAreTransformedAnew) {
  ImageOptions options;
  options.repeats = 3;
  options.transforms.resize(1);
  options.transforms[0].type = "random_erasing";
  options.transforms[0].probability = 0.5;
  options.transforms[0].fill = "noise";
  const ImageDataset data({numbered(10), nullptr, nullptr}, options, {});
  EXPECT_EQ(data.train_batches_per_epoch(6), 5);
  std::vector<int64_t> classes;
  int differ = 0;
  for (int64_t index = 0; index < 5; ++index) {
    const ImageBatch batch = images(data.train_batch(index, {.batch = 6, .seed = 3}));
    const auto labels = batch.labels.to_vector<int64_t>();
    const auto pixels = batch.images.to_vector<float>();
    for (size_t row = 0; row < 6; row += 3) {
      EXPECT_EQ(labels[row], labels[row + 1]);
      EXPECT_EQ(labels[row], labels[row + 2]);
      classes.push_back(labels[row]);
      const auto at = [&](size_t r) { return pixels.begin() + static_cast<std::ptrdiff_t>(4 * r); };
      differ += !std::equal(at(row), at(row) + 4, at(row + 1));
      differ += !std::equal(at(row), at(row) + 4, at(row + 2));
    }
  }
  EXPECT_EQ(std::count(classes.begin(), classes.end(), 0), 4) << "each of ten examples once";
  // Two erasings of even odds, of parts of 4 pixels: that all 20 pairs are equal has odds of 2^-20
  // at most.
  EXPECT_GT(differ, 0);
}

TEST(ImageDataset, RanksShareWhatOneRankSees) {
  ImageOptions mixed;
  mixed.mixup = 0.8;
  mixed.cutmix = 1;
  for (const ImageOptions& options : {ImageOptions{}, mixed}) {
    const ImageDataset data({numbered(11), nullptr, nullptr}, options, {});
    for (int64_t index = 0; index < 6; ++index) {
      const ImageBatch whole = images(data.train_batch(index, {.batch = 6, .seed = 1}));
      std::vector<float> pixels, labels;
      for (int64_t rank = 0; rank < 3; ++rank) {
        const ImageBatch part = images(
            data.train_batch(index, {.batch = 6, .seed = 1, .slice = {.rank = rank, .world = 3}}));
        for (const float value : part.images.to_vector<float>()) pixels.push_back(value);
        for (const float value : part.labels.to_vector<float>()) labels.push_back(value);
      }
      EXPECT_EQ(pixels, whole.images.to_vector<float>());
      EXPECT_EQ(labels, whole.labels.to_vector<float>());
    }
  }
}

TEST(ImageDataset, EvaluationPadsTheLastBatch) {
  const ImageDataset data({numbered(5), nullptr, numbered(7)}, {}, {});
  EXPECT_EQ(data.evaluation_batches(Part::test, 4), 2);
  const ImageBatch last = images(data.evaluation_batch(Part::test, 1, {.batch = 4}));
  EXPECT_EQ(last.count, 3);
  EXPECT_EQ(number_of(last, 2), 6);
  EXPECT_EQ(last.labels.to_vector<int64_t>(), (std::vector<int64_t>{1, 2, 0, kIgnoreTarget}));
  EXPECT_EQ(data.evaluation_batches(Part::validation, 4), 0);
  EXPECT_THROW(data.evaluation_batch(Part::test, 2, {.batch = 4}), Error);
}

TEST(ImageDataset, HoldsOutAFraction) {
  ImageOptions options;
  options.hold_out = 0.25;
  const ImageDataset data({numbered(100), nullptr, nullptr}, options, {});
  EXPECT_EQ(data.size(Part::train), 75);
  EXPECT_EQ(data.size(Part::validation), 25);
  std::set<int64_t> seen;
  for (const Part part : {Part::train, Part::validation}) {
    for (int64_t i = 0; i < data.evaluation_batches(part, 5); ++i) {
      const ImageBatch batch = images(data.evaluation_batch(part, i, {.batch = 5}));
      for (int64_t row = 0; row < 5; ++row) seen.insert(number_of(batch, row));
    }
  }
  EXPECT_EQ(seen.size(), 100u) << "no example is in both parts or in none";
}

TEST(Mix, LabelsFollowThePixels) {
  ImageBatch batch;
  batch.images = Tensor::from(std::vector<float>{0, 0, 0, 0, 1, 1, 1, 1}, {2, 2, 2, 1});
  batch.labels = Tensor::from(std::vector<int64_t>{0, 2}, {2});
  const ImageBatch blended = mix_batch(batch, batch, {.share = 0.75}, 3);
  EXPECT_EQ(blended.images.data<float>()[0], 0.25f);
  EXPECT_EQ(blended.labels.to_vector<float>(),
            (std::vector<float>{0.75f, 0, 0.25f, 0.25f, 0, 0.75f}));
  const ImageBatch cut =
      mix_batch(batch, batch, {.share = 0.75, .cut = true, .bottom = 1, .right = 1}, 3);
  EXPECT_EQ(cut.images.to_vector<float>(), (std::vector<float>{1, 0, 0, 0, 0, 1, 1, 1}));
}

TEST(Mix, BetaHasItsMoments) {
  for (const double a : {0.2, 1.0, 3.0}) {
    constexpr int kDraws = 4000;
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < kDraws; ++i) {
      const double x = draw_beta(a, {1, 2, i});
      ASSERT_TRUE(x >= 0 && x <= 1);
      sum += x;
      squares += (x - 0.5) * (x - 0.5);
    }
    const double variance = 1 / (4 * (2 * a + 1));
    EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(variance / kDraws)) << a;
    // The squares lie within [0, 1/4]: their deviation is at most 1/8.
    EXPECT_NEAR(squares / kDraws, variance, 5 * 0.125 / std::sqrt(kDraws)) << a;
  }
}

TEST(Mix, TheBoxCorrectsTheShare) {
  for (uint64_t i = 0; i < 100; ++i) {
    const Mix mix = draw_mix({.cutmix = 1}, 8, 10, {1, 2, i});
    EXPECT_TRUE(mix.cut);
    const auto area = static_cast<double>((mix.bottom - mix.top) * (mix.right - mix.left));
    EXPECT_DOUBLE_EQ(mix.share, 1 - area / 80);
  }
  EXPECT_EQ(draw_mix({.mixup = 1, .probability = 0}, 8, 8, {}).share, 1);
}

TEST(WebDataset, ReadsShardsInOrder) {
  const TemporaryFolder folder;
  folder.write("a-0.tar", tar_of({{"x/0.jpg", encode_jpeg(flat(8, 100))},
                                  {"x/0.cls", "1\n"},
                                  {"x/0.json", "{}"},
                                  {"x/1.cls", "0"},
                                  {"x/1.png", encode_png(flat(8, 7))}}));
  folder.write("a-1.tar", tar_of({{"2.png", encode_png(flat(8, 9))}, {"2.cls", "1"}}));
  const auto data = open_webdataset({.train = {folder / "a-*.tar"}});
  EXPECT_EQ(data->size(Part::train), 3);
  EXPECT_EQ(data->classes(), 2);
  EXPECT_EQ(data->example_shape(), (Shape{8, 8, 3}));
  for (int pass = 0; pass < 2; ++pass) {  // the second comes from the cache
    const ImageBatch batch = images(data->evaluation_batch(Part::train, 0, {.batch = 3}));
    EXPECT_EQ(batch.labels.to_vector<int64_t>(), (std::vector<int64_t>{1, 0, 1}));
    EXPECT_EQ(std::lround(batch.images.data<float>()[192] * 255), 7);
    EXPECT_EQ(std::lround(batch.images.data<float>()[384] * 255), 9);
  }
}

TEST(WebDataset, RefusesWhatIsNoSample) {
  const TemporaryFolder folder;
  const std::string png = encode_png(flat(4, 1));
  const auto error = [&](const std::vector<std::pair<std::string, std::string>>& members) {
    const std::string path = folder.write("s.tar", tar_of(members));
    return error_of("type: webdataset\ntrain: [" + path + "]");
  };
  EXPECT_THAT(error({{"0.png", png}}), HasSubstr("s.tar:0: the sample has no class"));
  EXPECT_THAT(error({{"0.cls", "1"}}), HasSubstr("no image"));
  EXPECT_THAT(error({{"0.cls", "x"}, {"0.png", png}}), HasSubstr("'x' is no class number"));
  EXPECT_THAT(error({{"0.cls", "0"}, {"0.png", png}, {"0.jpg", png}}), HasSubstr("second image"));
  EXPECT_THAT(error({{"0.cls", "0"}, {"0.png", "junk"}}), HasSubstr("s.tar:0.png: neither"));
  EXPECT_THAT(error_of("type: webdataset\ntrain: [/no/such.tar]"), HasSubstr("/no/such.tar"));
  EXPECT_THAT(error_of("type: webdataset\ntrain: [a]\ntransforms: [{type: resise}]"),
              HasSubstr("r.yaml:3"));
}

TEST(WebDataset, ImagesOfOtherSizesNeedATransform) {
  const TemporaryFolder folder;
  const std::string path = folder.write("s.tar", tar_of({{"0.png", encode_png(flat(4, 1))},
                                                         {"0.cls", "0"},
                                                         {"1.png", encode_png(flat(6, 1))},
                                                         {"1.cls", "0"}}));
  const auto data = open_webdataset({.train = {path}});
  EXPECT_THROW(data->evaluation_batch(Part::train, 0, {.batch = 2}), RequestError);
  const auto resized = open_labelled_dataset(parse_yaml(
      "type: webdataset\ntrain: [" + path + "]\ntransforms: [{type: resize, size: [5, 5]}]", "r"));
  EXPECT_EQ(images(resized->evaluation_batch(Part::train, 0, {.batch = 2})).images.shape(),
            (Shape{2, 5, 5, 3}));
}

TEST(WebDataset, PartsAndFractionsAreRead) {
  const TemporaryFolder folder;
  const std::string path = folder.write("s.tar", tar_of({{"0.png", encode_png(flat(4, 1))},
                                                         {"0.cls", "0"},
                                                         {"1.png", encode_png(flat(4, 2))},
                                                         {"1.cls", "1"}}));
  const std::string start = "type: webdataset\ntrain: [" + path + "]\n";
  const auto given = open_labelled_dataset(parse_yaml(start + "validation: [" + path + "]", "r"));
  EXPECT_EQ(given->size(Part::train), 2);
  EXPECT_EQ(given->size(Part::validation), 2);
  const auto held = open_labelled_dataset(parse_yaml(start + "hold_out: 0.5", "r"));
  EXPECT_EQ(held->size(Part::train), 1);
  EXPECT_EQ(held->size(Part::validation), 1);
}

TEST(ImageFolder, ClassesAreFoldersByName) {
  const TemporaryFolder folder;
  folder.write("train/zebra/1.png", encode_png(flat(4, 1)));
  folder.write("train/ant/deep/2.PNG", encode_png(flat(4, 2)));
  folder.write("train/ant/notes.txt", "none");
  folder.write("test/zebra/3.png", encode_png(flat(4, 3)));
  const auto data = open_image_folder({.train = folder / "train", .test = folder / "test"});
  EXPECT_EQ(data->class_names(), (std::vector<std::string>{"ant", "zebra"}));
  EXPECT_EQ(data->size(Part::train), 2);
  EXPECT_EQ(data->label(Part::train, 0), 0);
  EXPECT_EQ(data->label(Part::test, 0), 1);
  folder.write("test/zebras/3.png", encode_png(flat(4, 3)));
  EXPECT_THAT(error_of("{type: image-folder, train: " + (folder / "train") +
                       ", test: " + (folder / "test") + "}"),
              HasSubstr("did you mean 'zebra'"));
}

TEST(Cifar, ReadsPlanesAsPixels) {
  const TemporaryFolder folder;
  std::string record(3073, '\0');
  record[0] = 7;
  record[1 + 33] = 10;         // red of (1, 1)
  record[1 + 1024 + 33] = 20;  // green
  record[1 + 2048 + 33] = 30;  // blue
  const auto [pixels, labels] = read_cifar({folder.write("a.bin", record + record)});
  EXPECT_EQ(pixels.shape(), (Shape{2, 32, 32, 3}));
  EXPECT_EQ(labels.to_vector<int64_t>(), (std::vector<int64_t>{7, 7}));
  const uint8_t* pixel = pixels.data<uint8_t>() + 3072 + 33 * 3;
  EXPECT_EQ(std::vector<int>(pixel, pixel + 3), (std::vector<int>{10, 20, 30}));
  const std::string cut = folder.write("b.bin", record.substr(1));
  EXPECT_THAT(error_of("{type: cifar, train: [" + cut + "]}"), HasSubstr("b.bin: byte 0"));
}

TEST(Idx, ReadsImagesAndLabels) {
  const TemporaryFolder folder;
  const std::string pixels("\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\3abcdef", 22);
  const std::string labels("\0\0\x08\1\0\0\0\2\1\0", 10);
  const std::string pixel_file = folder.write("i", pixels), label_file = folder.write("l", labels);
  const auto data = open_idx({.train_images = pixel_file, .train_labels = label_file});
  EXPECT_EQ(data->example_shape(), (Shape{1, 3, 1}));
  EXPECT_EQ(data->label(Part::train, 0), 1);
  const auto error = [&](const std::string& bytes) {
    return error_of("{type: idx, train_images: " + folder.write("bad", bytes) +
                    ", train_labels: " + label_file + "}");
  };
  EXPECT_THAT(error(pixels.substr(0, 21)), HasSubstr("bad: byte 16: the shape [2, 1, 3]"));
  EXPECT_THAT(error(pixels.substr(1)), HasSubstr("not an IDX file"));
  EXPECT_THAT(error(std::string("\0\0\x0d\1\0\0\0\0", 8)), HasSubstr("byte 2"));
  EXPECT_THAT(error(std::string("\0\0\x08\2\xff\xff\xff\xff\xff\xff\xff\xff", 12)),
              HasSubstr("does not fit"));
}

TEST(Arrays, ReadNpyAndNpz) {
  const TemporaryFolder folder;
  const Tensor pixels = Tensor::from(std::vector<float>{0, 0.5f, 1, 2}, {2, 1, 2});
  const Tensor labels = Tensor::from(std::vector<int64_t>{0, 1}, {2});
  write_npy(folder / "x.npy", pixels);
  write_npy(folder / "y.npy", labels);
  folder.write("both.npz", zip_of({{"x.npy", read_file(folder / "x.npy")},
                                   {"y.npy", read_file(folder / "y.npy")}},
                                  true));
  for (const std::string& prefix : {folder.path() + "/", folder / "both.npz:"}) {
    const std::string end = prefix.ends_with(":") ? "" : ".npy";
    const auto data =
        open_arrays({.train_images = prefix + "x" + end, .train_labels = prefix + "y" + end});
    const ImageBatch batch = images(data->evaluation_batch(Part::train, 0, {.batch = 2}));
    EXPECT_EQ(batch.images.to_vector<float>(), pixels.to_vector<float>());
  }
  EXPECT_THAT(error_of("{type: arrays, train_images: '" + (folder / "both.npz:z") +
                       "', train_labels: " + (folder / "y.npy") + "}"),
              HasSubstr("no member 'z'"));
}

TEST(ImageDataset, WorkersAreAnOption) {
  const auto data = [](const std::string& more) {
    return open_labelled_dataset(parse_yaml(
        "{type: procedural-images, size: 8, train: 8, validation: 0, test: 0" + more + "}",
        "r.yaml"));
  };
  EXPECT_EQ(data("")->workers(), 2);
  EXPECT_EQ(data(", workers: 5")->workers(), 5);
}

TEST(Arrays, ReadNamedTensors) {
  const TemporaryFolder folder;
  const Tensor pixels = Tensor::from(std::vector<float>{0, 0.5f, 1, 2}, {2, 1, 2});
  const std::string file = folder / "both.safetensors";
  write_safetensors(
      file, {{"images", pixels}, {"labels", Tensor::from(std::vector<int64_t>{1, 0}, {2})}});
  const auto data =
      open_arrays({.train_images = file + ":images", .train_labels = file + ":labels"});
  const ImageBatch batch = images(data->evaluation_batch(Part::train, 0, {.batch = 2}));
  EXPECT_EQ(batch.images.to_vector<float>(), pixels.to_vector<float>());
  EXPECT_EQ(batch.labels.to_vector<int64_t>(), (std::vector<int64_t>{1, 0}));
  const auto error = [&](const std::string& name) {
    return error_of("{type: arrays, train_images: '" + file + name + "', train_labels: '" + file +
                    ":labels'}");
  };
  EXPECT_THAT(error(":image"), HasSubstr("no tensor 'image' (did you mean 'images'?)"));
  EXPECT_THAT(error(""), HasSubstr("it has: labels, images"));
}

TEST(WebDataset, RealCifar) {
  HEED_REAL_DATA(train, "cifar10/train.tar");
  HEED_REAL_DATA(test, "cifar10/test.tar");
  const auto data = open_labelled_dataset(parse_yaml(
      "type: webdataset\ntrain: [" + train + "]\ntest: [" + test +
          "]\ntransforms:\n"
          "  - {type: random_crop, size: [32], padding: 4}\n  - {type: horizontal_flip}\n"
          "  - {type: normalise, mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616]}\n",
      "r.yaml"));
  EXPECT_EQ(data->size(Part::train), 50000);
  EXPECT_EQ(data->size(Part::test), 10000);
  EXPECT_EQ(data->classes(), 10);
  EXPECT_EQ(data->example_shape(), (Shape{32, 32, 3}));
  std::vector<int> counts(10);
  for (int64_t i = 0; i < 10000; ++i) ++counts[static_cast<size_t>(data->label(Part::test, i))];
  EXPECT_EQ(counts, std::vector<int>(10, 1000));
  Prefetcher<LabelledBatch> ahead(
      [&](int64_t index) { return data->train_batch(index, {.batch = 128, .seed = 5}); },
      {.start = 3, .threads = 2});
  double sum = 0, squares = 0, count = 0;
  for (int64_t index = 3; index < 23; ++index) {
    const ImageBatch batch = images(ahead.next());
    EXPECT_EQ(batch.index, index);
    for (const float value : batch.images.to_vector<float>()) {
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
      ++count;
    }
  }
  // Black borders from the padding pull the mean down; the rest is normalised.
  EXPECT_NEAR(sum / count, 0, 0.3);
  EXPECT_NEAR(squares / count, 1, 0.4);
}

}  // namespace
}  // namespace heed::data
