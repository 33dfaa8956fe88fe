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
  const std::string pairs = "one\tun\ntwo\tdeux\nthree\ttrois\n";
  folder.write("pairs.tsv", pairs + "four\tquatre\n");
  folder.write("held-out.tsv", "two\ttrois\nthree\tun\n");
  const std::vector<std::string> table = {
      fmt::format("data={{type: text-pairs, train: [\"{}\"], validation: [\"{}\"]}}",
                  folder.path("pairs.tsv"), folder.path("held-out.tsv")),
      "samples.prompt=two", "optimizer.lr=0.0001"};
  train_file(kRecipe, folder.path("run"), table);
  const GenerateOptions options{.max_tokens = 8, .greedy = true};
  const Metrics before = evaluate(folder.path("run")).metrics;
  const std::string text = generate(folder.path("run"), "two", options).text;
  // Without the first letter all ids of a vocabulary made anew are others.
  folder.write("pairs.tsv", pairs);
  EXPECT_EQ(evaluate(folder.path("run")).metrics, before);
  EXPECT_EQ(generate(folder.path("run"), "two", options).text, text);
  const Metrics anew = train_file(kRecipe, folder.path("anew"), table).metrics;
  EXPECT_NE(anew, before);
}

// Learned positions end with the context: a text ends there, and a longer prompt is cut.
TEST(SequenceToSequence, LearnedPositionsEndTheText) {
  const Scratch folder;
  Recorder recorder;
  train_file(kRecipe, folder.path("run"),
             {"model.position=learned", "model.context=8", "samples.max_tokens=60",
              "samples.every=1", "samples.prompt=abcdefabcdef", "optimizer.lr=0.0001"},
             false, &recorder);
  EXPECT_EQ(recorder.samples.size(), 12u);
  const std::vector<std::string> cut = {"the prompt has 12 tokens; the first 8 are read"};
  EXPECT_EQ(recorder.warnings, cut) << "once, not with every sample";
  for (const char* beams : {"task.beams=1", "task.beams=3"}) {
    std::vector<std::string> warnings;
    const Generated text =
        generate(folder.path("run"), "abcdefabcdef", {.max_tokens = 60, .greedy = true}, {},
                 {beams, "task.length_penalty=9"},
                 [&](const std::string& warning) { warnings.push_back(warning); });
    EXPECT_EQ(text.prompt_tokens, 8) << beams;
    EXPECT_EQ(text.tokens, 8) << beams << ", hardly trained: it does not end its text";
    EXPECT_EQ(text.stopped_by, "context") << beams;
    EXPECT_EQ(warnings, cut) << beams;
  }
}

TEST(SequenceToSequence, PromptsAreCutAsSourcesAre) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"), {"data.max_source=3"});
  const GenerateOptions options{.max_tokens = 6, .greedy = true};
  const Generated cut = generate(folder.path("run"), "abcdef", options);
  EXPECT_EQ(cut.prompt_tokens, 3);
  EXPECT_EQ(cut.text, generate(folder.path("run"), "abc", options).text);
  EXPECT_THAT(cut.warning, HasSubstr("the first 3 are read"));
}

TEST(SequenceToSequence, BeamsAreTimedAsAWhole) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"));
  const Generated text =
      generate(folder.path("run"), "abc", {.max_tokens = 8}, {}, {"task.beams=3"});
  EXPECT_EQ(text.prompt_seconds, 0.0);
  EXPECT_GT(text.seconds, 1e-5) << "some forward passes";
  std::string pieces;
  const auto collect = [&](const std::string& piece) { pieces += piece; };
  const Generated stopped = generate(folder.path("run"), "abc", {.max_tokens = 8, .stop = {"a"}},
                                     collect, {"task.beams=3"});
  EXPECT_EQ(pieces, stopped.text);
  EXPECT_EQ(stopped.text, text.text.substr(0, text.text.find('a')));
}

TEST(SequenceToSequence, TaskOptionsCount) {
  const Scratch folder;
  Recorder smooth, sharp;
  train_file(kRecipe, folder.path("smooth"), {"task.smoothing=0.5"}, false, &smooth);
  train_file(kRecipe, folder.path("run"), {"task.smoothing=0"}, false, &sharp);
  EXPECT_NE(smooth.steps.front().loss, sharp.steps.front().loss);

  const Metrics all = evaluate(folder.path("run")).metrics;
  Metrics read = evaluate(folder.path("run"), {"task.write=false"}).metrics;
  EXPECT_EQ(find_metric(read, "exact_match"), nullptr);
  read.emplace_back("exact_match", *find_metric(all, "exact_match"));
  EXPECT_EQ(read, all);

  const auto written = [&](const std::string& penalty) {
    return generate(folder.path("run"), "abcde", {.max_tokens = 20}, {},
                    {"task.beams=4", "task.length_penalty=" + penalty})
        .tokens;
  };
  EXPECT_LT(written("0"), written("4"));
}

// Ids that only pad the vocabulary have no text.
TEST(SequenceToSequence, PaddedVocabulariesWriteKnownTokens) {
  const Scratch folder;
  train_file(kRecipe, folder.path("run"), {"model.vocab=512", "optimizer.lr=1e-6"});
  for (const char* beams : {"task.beams=1", "task.beams=3"}) {
    const Generated text = generate(folder.path("run"), "abc", {.max_tokens = 8, .greedy = true},
                                    {}, {beams, "task.length_penalty=9"});
    EXPECT_EQ(text.tokens, 8) << beams;
    EXPECT_EQ(text.text.find_first_not_of("abcdef"), std::string::npos) << beams << text.text;
  }
}

TEST(SequenceToSequence, TokenizersOfOtherKinds) {
  const Scratch folder;
  folder.write("pairs.csv", "en,fr\none two,un deux\ntwo three,deux trois\nthree one,trois un\n");
  for (const char* tokenizer : {"{type: words}", "{type: bpe, vocab_size: 260}"}) {
    const std::string run = folder.path(std::string(tokenizer).substr(7, 3));
    train_file(kRecipe, run,
               {fmt::format("data={{type: text-pairs, train: [\"{}\"], header: true, source: fr, "
                            "target: en, hold_out_test: 0.34, tokenizer: {}}}",
                            folder.path("pairs.csv"), tokenizer),
                "samples.prompt=deux"});
    const Metrics metrics = evaluate(run).metrics;
    ASSERT_EQ(metrics.size(), 3u) << tokenizer << ": one pair is the test part";
    EXPECT_GT(metrics[0].second, 0.0);
    EXPECT_NO_THROW(generate(run, "un deux", {.max_tokens = 4})) << tokenizer;
  }
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
