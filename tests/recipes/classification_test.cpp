#include "recipes/engine/classification.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "recipes/engine/describe.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/export.h"
#include "recipes/engine/generate.h"
#include "recipes/engine/report.h"
#include "recipes/engine/weighed_words.h"
#include "tests/recipes/runs.h"
#include "tests/recipes/tiny_images.h"

namespace heed::recipes {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

TEST(Classification, LearnsImages) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  Recorder recorder;
  const EndReport end =
      train_file(recipe, folder.path("run"), {"train.steps=80"}, false, &recorder);
  EXPECT_NEAR(recorder.steps.front().loss, std::log(8.0), 1.0);  // knows nothing yet
  EXPECT_GT(*find_metric(end.metrics, "accuracy"), 0.5);         // of 8 classes
  EXPECT_EQ(recorder.steps.back().items, 80 * 12);
  EXPECT_EQ(end.baselines.front().first, "majority.accuracy");
  EXPECT_DOUBLE_EQ(end.baselines.front().second, 5.0 / 40.0);
}

TEST(Classification, ThreadsThatMakeBatchesDoNotChangeThem) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  const auto metrics = [&](const char* run, const std::string& workers) {
    return train_file(recipe, folder.path(run), {workers}).metrics;
  };
  const Metrics one = metrics("one", "data.workers=1");
  EXPECT_EQ(metrics("five", "data.workers=5"), one);
  expect_same_run(folder.path("one"), folder.path("five"));
  EXPECT_EQ(evaluate(folder.path("one"), {"data.workers=3"}).metrics, one);
}

TEST(Classification, LearnsTexts) {
  const Scratch folder;
  const std::string recipe = write_tiny_texts(folder);
  for (const char* model :
       {"model={type: gru_classifier, dim: 8, hidden: 8}",
        "model={type: encoder, layers: 1, dim: 16, heads: 2, dropout: 0, attention_dropout: 0}"}) {
    const std::string run = folder.path(std::string("run-") + model[14]);
    const EndReport end = train_file(recipe, run, {"train.steps=60", model});
    EXPECT_EQ(*find_metric(end.metrics, "accuracy"), 1.0) << model;
    EXPECT_EQ(*find_metric(end.metrics, "auc"), 1.0) << model;
    EXPECT_TRUE(fs::exists(end.checkpoint + "/tokenizer.json"));
  }
}

TEST(Classification, TextsThatAreMadeGoOnAndAreMeasuredAgain) {
  const Scratch folder;
  const std::string recipe = write_tiny_texts(folder);
  for (const char* data : {"data={type: listops, length: 12, depth: 2, train: 20, validation: 10}",
                           "data={type: aspect-texts, train: 20, validation: 10}"}) {
    const std::vector<std::string> overrides = {
        data, "model={type: gru_classifier, dim: 8, hidden: 8, pool: lama}", "train.steps=6",
        "train.checkpoint_every=3", "evaluation.baselines=[]"};
    const std::string run = folder.path(std::string(data).substr(12, 7));
    expect_exact_resume(recipe, run, 4, overrides);
    const EndReport end = train_file(recipe, folder.path("again"), overrides);
    EXPECT_EQ(evaluate(folder.path("again")).metrics, end.metrics) << data;
    fs::remove_all(folder.path("again"));
  }
}

TEST(Classification, ShowsWhichWordsItsHeadsWeigh) {
  const Scratch folder;
  Recorder recorder;
  train_file(write_tiny_texts(folder), folder.path("run"),
             {"model={type: gru_classifier, dim: 8, hidden: 8, pool: {type: lama, heads: 2}}",
              "train.steps=2", "samples={every: 2, count: 2}"},
             false, &recorder);
  ASSERT_EQ(recorder.samples.size(), 2u);
  const WeighedWords sample =
      read_weighed_words(read_json_file(folder.path("run/" + recorder.samples[0].file)));
  ASSERT_EQ(sample.heads.size(), 2u);
  double all = 0.0;
  for (const double weight : sample.heads[0]) all += weight;
  EXPECT_NEAR(all, 1.0, 1e-5);
  const auto later = generate_files(folder.path("run"), folder.path("words.json"), 1, {});
  ASSERT_EQ(later.size(), 1u);
  EXPECT_EQ(read_weighed_words(read_json_file(later[0])).words, sample.words);
  EXPECT_THAT(
      request_error([&] { generate_files(folder.path("run"), folder.path("words.json"), 1, -1); }),
      HasSubstr("at least 0"));
  const std::string html = report_page({folder.path("run")});
  EXPECT_THAT(html, HasSubstr("table class=\"words\""));
  EXPECT_THAT(html, HasSubstr(sample.words.back() + "</span>"));
  EXPECT_THAT(build_error(write_tiny_texts(folder), {"samples.every=2"}),
              HasSubstr("draws no samples"));
}

TEST(Classification, TheBestCheckpointIsThatOfTheHighestAccuracy) {
  const Scratch folder;
  Recorder recorder;
  const EndReport end = train_file(write_tiny_images(folder), folder.path("run"),
                                   {"train.steps=40"}, false, &recorder);
  double best = 0.0;
  for (const EvalReport& report : recorder.evals) {
    best = std::max(best, *find_metric(report.metrics, "accuracy"));
  }
  EXPECT_EQ(*find_metric(end.best, "accuracy"), best);
}

TEST(Classification, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(write_tiny_images(folder), folder.path("images"), 7,
                      {"data.mixup=0.4", "data.cutmix=0.5"});
  expect_exact_resume(write_tiny_texts(folder), folder.path("texts"), 7);
}

TEST(Classification, AccumulationSeesTheSameRows) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  const auto whole =
      make_task(load_recipe(recipe, {"train.batch_size=12", "train.accumulation=1"}));
  const auto parts = make_task(load_recipe(recipe, {"train.batch_size=4", "train.accumulation=3"}));
  for (int step = 0; step < 2; ++step) {
    const Batch batch = whole->next_batch();
    std::vector<float> images, expected = batch["x"].to_vector<float>();
    for (int part = 0; part < 3; ++part) {
      const Batch micro = parts->next_batch();
      EXPECT_EQ(micro.count, 4);
      for (const float value : micro["x"].to_vector<float>()) images.push_back(value);
    }
    EXPECT_EQ(images, expected);
  }
}

TEST(Classification, ImagesGrowInStages) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  const std::vector<std::string> stages = {
      "task.resolutions=[{until: 3, size: [6]}, {until: 5, size: [8, 10]}]"};
  const auto task = make_task(load_recipe(recipe, stages)), plain = make_task(load_recipe(recipe));
  for (int64_t step = 0; step < 7; ++step) {
    for (int part = 0; part < 2; ++part) {
      const Batch batch = task->next_batch(), whole = plain->next_batch();
      const Shape sides = step < 3 ? Shape{6, 6} : step < 5 ? Shape{8, 10} : Shape{12, 12};
      ASSERT_EQ(batch["x"].shape(), (Shape{6, sides[0], sides[1], 3})) << step;
      EXPECT_EQ(batch["labels"].to_vector<int64_t>(), whole["labels"].to_vector<int64_t>());
      // A smaller image has the brightness of the whole one.
      const auto mean = [](const Tensor& x) {
        const std::vector<double> values = x.to_vector<double>();
        return std::accumulate(values.begin(), values.end(), 0.0) /
               static_cast<double>(values.size());
      };
      EXPECT_NEAR(mean(batch["x"]), mean(whole["x"]), 0.1);
    }
  }
  expect_exact_resume(recipe, folder.path("cut"), 5, stages);  // from the checkpoint of step 4
  EXPECT_THAT(
      build_error(recipe, {"task.resolutions=[{until: 3, size: [6]}, {until: 2, size: [8]}]"}),
      HasSubstr("until: 2 does not ascend"));
  EXPECT_THAT(build_error(write_tiny_texts(folder), stages),
              HasSubstr("resolutions: of images, and the data are texts"));
}

TEST(Classification, EvaluatesWhatTheRecipeNames) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  const EndReport end = train_file(recipe, folder.path("run"));
  const Evaluation validation = evaluate(folder.path("run"));
  EXPECT_EQ(validation.metrics, end.metrics);
  const Evaluation test = evaluate(folder.path("run"), {"task.part=test", "task.top_k=2"});
  EXPECT_DOUBLE_EQ(test.baselines.front().second, 3.0 / 24.0);
  EXPECT_NE(find_metric(test.metrics, "top2_accuracy"), nullptr);
  // 2 batches of 7 rows are the first 14 examples: 2 of each class, but one of the last two.
  const Evaluation few =
      evaluate(folder.path("run"), {"evaluation.max_batches=2", "evaluation.batch_size=7"});
  EXPECT_DOUBLE_EQ(few.baselines.front().second, 2.0 / 14.0);
}

TEST(Classification, EvaluationDoesNotDependOnTheBatchSize) {
  const Scratch folder;
  train_file(write_tiny_texts(folder), folder.path("run"));
  const Metrics one = evaluate(folder.path("run"), {"evaluation.batch_size=1"}).metrics;
  const Metrics many = evaluate(folder.path("run"), {"evaluation.batch_size=64"}).metrics;
  ASSERT_EQ(one.size(), many.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i].second, many[i].second, 1e-5);
}

TEST(Classification, EvaluationKeepsTheVocabularyOfTheRun) {
  const Scratch folder;
  train_file(write_tiny_texts(folder), folder.path("run"));
  const Metrics before = evaluate(folder.path("run")).metrics;
  folder.write("train.csv", "0,nothing that was seen before\n1,bad\n");
  EXPECT_EQ(evaluate(folder.path("run")).metrics, before);
}

TEST(Classification, ComputesInBf16) {
  const Scratch folder;
  const EndReport end = train_file(write_tiny_images(folder), folder.path("run"),
                                   {"train.precision=bf16", "train.steps=40"});
  EXPECT_GT(*find_metric(end.metrics, "accuracy"), 0.25);
}

TEST(Classification, SmoothedAndMixedTargetsHaveTheSameMeaning) {
  // A one-hot row is what its class is: both losses agree.
  const Scratch folder;
  const auto task = make_task(load_recipe(write_tiny_images(folder)));
  task->module().initialise(1);
  task->module().eval();
  Batch batch = task->next_batch();
  const double hard = task->loss(batch).item();
  Tensor rows = Tensor::zeros({6, 8});
  const std::vector<int64_t> labels = batch["labels"].to_vector<int64_t>();
  for (size_t i = 0; i < 6; ++i) rows.data<float>()[static_cast<int64_t>(i) * 8 + labels[i]] = 1.0f;
  batch.tensors[1].second = rows;
  EXPECT_NEAR(task->loss(batch).item(), hard, 8 * 0x1p-23 * hard);
}

TEST(Classification, DescribesItself) {
  const Scratch folder;
  const Description d = describe(load_recipe(write_tiny_images(folder)));
  EXPECT_EQ(d.items_per_step, 12);
  EXPECT_EQ(d.item_name, "images");
  EXPECT_GT(d.flops_per_step, 12.0 * 3 * 2 * 12 * 12 * 9 * 8 * 8);  // one of its convolutions
  EXPECT_GT(d.activation_bytes, 6 * 12 * 12 * 8 * 4);               // one of its feature maps
  EXPECT_LT(d.activation_bytes, 20 * 6 * 12 * 12 * 8 * 4);          // it has 7, 3 of them normed
}

TEST(Classification, ExportsTheClassNames) {
  const Scratch folder;
  train_file(write_tiny_texts(folder), folder.path("run"));
  fs::remove(folder.path("train.csv"));  // the data are not needed
  export_model(folder.path("run"), folder.path("out"), "safetensors");
  const Config config = read_json_file(folder.path("out/config.json"));
  EXPECT_EQ(config.at("type").as_string(), "gru_classifier");
  EXPECT_EQ(read_json_file(folder.path("out/class_names.json")).as_list().size(), 2u);
  EXPECT_EQ(slurp(folder.path("out/tokenizer.json")),
            slurp(find_checkpoint(folder.path("run")).path + "/tokenizer.json"));
}

TEST(Classification, RefusesWhatDoesNotFitWithItsPlace) {
  const Scratch folder;
  const std::string images = write_tiny_images(folder), texts = write_tiny_texts(folder);
  EXPECT_THAT(build_error(images, {"model={type: gru_classifier}"}),
              HasSubstr("model 'gru_classifier' does not classify images"));
  EXPECT_THAT(build_error(texts, {"model={type: resnet}"}),
              HasSubstr("model 'resnet' does not classify tokens"));
  EXPECT_THAT(build_error(images, {"model={type: gpt}"}), HasSubstr("gpt"));
  EXPECT_THAT(build_error(images, {"evaluation.baselines=[unigram]"}),
              HasSubstr("the task 'classification' knows no 'unigram'; it knows: majority"));
  EXPECT_THAT(build_error(images, {"samples.every=10"}), HasSubstr("draws no samples"));

  const auto placed = [&](const std::string& from, const std::string& key, const std::string& to) {
    std::string text = slurp(from);
    text.replace(text.find(key), key.size(), to);
    return build_error(folder.write("wrong.yaml", text));
  };
  EXPECT_THAT(placed(images, "widths: [8]", "widths: [8], classes: 5"),
              AllOf(HasSubstr("wrong.yaml:8:58:"), HasSubstr("classes is 5, but the data has 8")));
  EXPECT_THAT(placed(images, "widths: [8]", "widths: [8], height: 32"),
              AllOf(HasSubstr("wrong.yaml:8:57:"), HasSubstr("height is 32")));
  EXPECT_THAT(placed(texts, "validation: [validation.csv], ", ""),
              HasSubstr("no error"));  // trains without a held-out part
  EXPECT_THAT(placed(texts, "{type: classification}", "{type: classification, part: test}"),
              AllOf(HasSubstr("wrong.yaml:4:"), HasSubstr("the data has no test part")));
  EXPECT_THAT(placed(texts, "text-table", "cpp-headers"), HasSubstr("wrong.yaml:5:"));
}

TEST(Classification, GeneratesNothing) {
  const Scratch folder;
  train_file(write_tiny_images(folder), folder.path("run"));
  EXPECT_THAT(request_error([&] { generate(folder.path("run"), "a", {}); }),
              HasSubstr("the task 'classification' writes no text"));
}

}  // namespace
}  // namespace heed::recipes
