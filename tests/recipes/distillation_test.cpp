#include "recipes/engine/distillation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/ops/distribution_loss.h"
#include "autograd/ops/loss.h"
#include "recipes/engine/evaluate.h"
#include "tests/recipes/runs.h"
#include "tests/recipes/tiny_images.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

std::string from(const std::string& teacher, const std::string& more = "") {
  return "task={type: distillation, teacher: " + teacher + more + "}";
}

TEST(Distillation, LearnsFromTheTeacherAlone) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  train_file(recipe, folder.path("teacher"), {"train.steps=80"});
  const EndReport end = train_file(
      recipe, folder.path("student"),
      {from(folder.path("teacher"), ", weight: 1.0"), "model.widths=[4]", "train.steps=80"});
  EXPECT_GT(*find_metric(end.metrics, "accuracy"), 0.375);  // of 8 classes, no label seen
}

TEST(Distillation, LossIsTheWeightedSumAndTheTeacherStays) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  train_file(recipe, folder.path("teacher"));
  const auto loaded = load_run(folder.path("teacher"), TaskUse::evaluate);
  auto& teacher = dynamic_cast<Classification&>(*loaded.task).model();

  const auto task = make_task(load_recipe(
      recipe,
      {from(folder.path("teacher"), ", temperature: 2.0, weight: 0.25"), "model.widths=[4]"}));
  task->module().initialise(1);
  task->module().eval();
  const Batch batch = task->next_batch();
  Tensor logits, taught;
  {
    const NoGrad no_grad;
    logits = dynamic_cast<Classification&>(*task).model().forward(batch["x"]);
    taught = teacher.forward(batch["x"]);
  }
  const double expected = 0.75 * cross_entropy(logits, batch["labels"]).item() +
                          0.25 * distillation_loss(logits, taught, 2.0).item();
  const Tensor loss = task->loss(batch);
  EXPECT_NEAR(loss.item(), expected, 1e-6 * expected);
  backward(loss);
  for (const auto& [name, tensor] : nn::trained_tensors(task->module())) {
    EXPECT_TRUE(grad(tensor).defined()) << name;
  }
  for (const auto& [name, tensor] : nn::state_dict(task->module())) {
    EXPECT_NE(name.substr(0, 7), "teacher");
  }
}

TEST(Distillation, ResumesBitForBit) {
  const Scratch folder;
  const std::string images = write_tiny_images(folder), texts = write_tiny_texts(folder);
  train_file(images, folder.path("teacher"));
  expect_exact_resume(images, folder.path("images"), 7,
                      {from(folder.path("teacher")), "data.mixup=0.4"});
  train_file(texts, folder.path("reader"));
  expect_exact_resume(texts, folder.path("texts"), 7, {from(folder.path("reader"))});
}

TEST(Distillation, EvaluationNeedsNoTeacher) {
  const Scratch folder;
  const std::string recipe = write_tiny_images(folder);
  train_file(recipe, folder.path("teacher"));
  const EndReport end = train_file(recipe, folder.path("student"), {from(folder.path("teacher"))});
  std::filesystem::remove_all(folder.path("teacher"));
  EXPECT_EQ(evaluate(folder.path("student")).metrics, end.metrics);
}

TEST(Distillation, RefusesATeacherThatDoesNotFit) {
  const Scratch folder;
  const std::string images = write_tiny_images(folder), texts = write_tiny_texts(folder);
  train_file(images, folder.path("teacher"), {"train.steps=1"});
  train_file(texts, folder.path("reader"), {"train.steps=1"});
  EXPECT_THAT(build_error(images, {from(folder.path("nobody"))}), HasSubstr("nobody"));
  EXPECT_THAT(build_error(images, {from(folder.path("reader"))}),
              HasSubstr("model gru_classifier: classes is 2, but the data has 8"));
  EXPECT_THAT(build_error(images, {from(folder.path("teacher")), "data.size=16"}),
              HasSubstr("height is 12, but the data has"));
  EXPECT_THAT(build_error(images, {from(folder.path("teacher")), "data.content=textures"}),
              HasSubstr("has 8 classes, the student 6"));
  folder.write("train.csv", "0,other words\n1,than before\n");
  EXPECT_THAT(build_error(texts, {from(folder.path("reader"))}),
              HasSubstr("reads another vocabulary"));
  EXPECT_THAT(build_error(images, {"task={type: distillation}"}), HasSubstr("'teacher'"));
}

}  // namespace
}  // namespace heed::recipes
