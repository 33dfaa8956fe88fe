#include "recipes/engine/sequence_to_sequence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "recipes/engine/evaluate.h"
#include "recipes/engine/generate.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::HasSubstr;

const std::string kRecipe = HEED_SOURCE_DIR "/recipes/base/smoke-seq2seq.yaml";
const std::vector<std::string> kLearning = {
    "data={type: synthetic-pairs, task: reverse, length: 4, symbols: 4, train: 3000, validation: "
    "60, test: 0}",
    "model={type: encoder_decoder, layers: 1, dim: 32, heads: 2, position: learned, dropout: 0}",
    "train={steps: 300, batch_size: 32, accumulation: 1, ema: 0, eval_every: 150}",
    "task.smoothing=0",
    "optimizer.lr=0.003",
    "schedule={type: constant}"};

TEST(SequenceToSequence, LearnsAndWritesWhatItLearnt) {
  const Scratch folder;
  Recorder recorder;
  const EndReport end = train_file(kRecipe, folder.path("run"), kLearning, false, &recorder);
  EXPECT_NEAR(recorder.steps.front().loss, std::log(5.0), 0.8) << "four letters and the end";
  const double whole = *find_metric(end.metrics, "exact_match");
  EXPECT_GT(whole, 0.8);
  EXPECT_GT(*find_metric(end.metrics, "token_accuracy"), 0.9);
  ASSERT_FALSE(recorder.samples.empty());

  GenerateOptions options{.max_tokens = 8, .temperature = 0.0};
  const Generated greedy = generate(folder.path("run"), "abcd", options);
  const Generated beams = generate(folder.path("run"), "abcd", options, {}, {"task.beams=3"});
  EXPECT_EQ(greedy.text, "dcba");
  EXPECT_EQ(beams.text, greedy.text) << "of a model that is sure";
  EXPECT_EQ(greedy.prompt_tokens, 4);
  EXPECT_EQ(greedy.stopped_by, "end");
  EXPECT_EQ(beams.stopped_by, "end");
  const Metrics searched = evaluate(folder.path("run"), {"task.beams=3"}).metrics;
  EXPECT_GE(*find_metric(searched, "exact_match"), whole - 0.05);
}

TEST(SequenceToSequence, ResumesBitForBit) {
  const Scratch folder;
  expect_exact_resume(kRecipe, folder.path(), 7);
}

TEST(SequenceToSequence, EvaluationDoesNotDependOnTheBatchSize) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"));
  const Metrics a = evaluate(folder.path("run"), {"evaluation.batch_size=30"}).metrics;
  const Metrics b = evaluate(folder.path("run"), {"evaluation.batch_size=7"}).metrics;
  ASSERT_EQ(a.size(), 3u);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i].second, b[i].second, 1e-5) << a[i].first;
  EXPECT_NE(evaluate(folder.path("run"), {"task.part=test"}).metrics, a);
}

TEST(SequenceToSequence, TrainsOnATableAndKeepsItsVocabulary) {
  const Scratch folder;
  folder.write("pairs.tsv", "one\tun\ntwo\tdeux\nthree\ttrois\nfour\tquatre\n");
  const std::vector<std::string> table = {
      fmt::format("data={{type: text-pairs, train: [\"{}\"], hold_out: 0.25}}",
                  folder.path("pairs.tsv")),
      "samples.prompt=two"};
  train_file(kRecipe, folder.path("run"), table);
  const Metrics before = evaluate(folder.path("run")).metrics;
  // A letter in front of the others moves every id of a vocabulary made anew.
  folder.write("pairs.tsv", "one\tun\ntwo\tdeux\nthree\ttrois\nfour\tquatre\na\tb\n");
  EXPECT_NO_THROW(generate(folder.path("run"), "two", {.max_tokens = 4}));
  folder.write("pairs.tsv", "one\tun\ntwo\tdeux\nthree\ttrois\nfour\tquatre\n");
  EXPECT_EQ(evaluate(folder.path("run")).metrics, before);
}

TEST(SequenceToSequence, SaysWhatDoesNotFit) {
  EXPECT_THAT(build_error(kRecipe, {"model={type: gpt}"}), HasSubstr("'encoder_decoder', not"));
  EXPECT_THAT(build_error(kRecipe, {"data={type: cpp-headers}"}), HasSubstr("no pairs of texts"));
  EXPECT_THAT(build_error(kRecipe, {"model.vocab=3"}),
              HasSubstr("vocab is 3, but the data have 7"));
  EXPECT_THAT(build_error(kRecipe, {"model.position=learned", "model.context=4"}),
              HasSubstr("a context of 4 for texts of 6 tokens"));
  EXPECT_THAT(build_error(kRecipe, {"data.test=0", "task.part=test"}), HasSubstr("no test part"));
  EXPECT_THAT(build_error(kRecipe, {"data.min_length=9"}), HasSubstr("must not exceed length"));
}

}  // namespace
}  // namespace heed::recipes
