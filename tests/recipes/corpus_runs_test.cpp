// Runs on corpora: shards, mixtures, streams, packed documents.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/byte_tokenizer.h"
#include "data/text_dataset.h"
#include "data/tokenize_corpus.h"
#include "recipes/engine/describe.h"
#include "recipes/engine/evaluate.h"
#include "tests/recipes/runs.h"

namespace heed::recipes {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Two corpora as JSON lines and as shards, and a recipe on a mixture of them.
std::string write_mixture(const Scratch& folder) {
  for (const int kind : {0, 1}) {
    std::string lines;
    for (int i = 0; i < 150; ++i) {
      std::string text = kind == 0 ? "number " + std::to_string(i * i)
                                   : "a longer line that says " + std::to_string(i % 9);
      lines += "{\"text\": \"" + text + "\"}\n";
    }
    const std::string name = kind == 0 ? "numbers" : "words";
    data::TokenizeOptions options;
    options.corpus.files = {folder.write(name + ".jsonl", lines)};
    options.shard_bytes = 500;
    data::tokenize_corpus(options, data::ByteTokenizer(), folder.path(name));
  }
  return folder.write("mixture.yaml", R"(
name: mixture
seed: 3
task: {type: language_modeling, sampling: epochs}
data:
  type: token-shards
  corpora: [{name: numbers, folder: numbers, weight: 3}, {name: words, folder: words, weight: 1}]
  validation: 0.1
model: {type: gpt, layers: 2, dim: 16, heads: 2, context: 16, position: rotary, dropout: 0.1}
train: {steps: 12, batch_size: 3, accumulation: 2, ema: 0.9, log_every: 1, eval_every: 4,
        checkpoint_every: 4}
optimizer: {type: adamw, lr: 1e-2}
)");
}

const std::vector<std::string> kApart = {"task.documents=apart"};
std::vector<std::string> stream(const std::vector<std::string>& more = {}) {
  std::vector<std::string> overrides = {
      "task={type: language_modeling}",
      "data={type: text-stream, files: [numbers.jsonl, words.jsonl], "
      "validation_files: [words.jsonl], max_validation_bytes: 300, shuffle: 9}"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}

// Paths of overrides start at the working directory.
std::vector<std::string> in(const Scratch& folder, std::vector<std::string> overrides) {
  for (std::string& text : overrides) {
    for (const char* name : {"numbers.jsonl", "words.jsonl"}) {
      for (size_t at = 0; (at = text.find(name, at)) != std::string::npos;) {
        const std::string path = folder.path(name);
        text.replace(at, std::string(name).size(), path);
        at += path.size();
      }
    }
  }
  return overrides;
}

TEST(CorpusRuns, MixturesResumeBitForBit) {
  const Scratch folder;
  const std::string recipe = write_mixture(folder);
  for (const int64_t at : {3, 7}) {
    expect_exact_resume(recipe, folder.path("joined-" + std::to_string(at)), at);
    expect_exact_resume(recipe, folder.path("apart-" + std::to_string(at)), at, kApart);
  }
}

TEST(CorpusRuns, StreamsResumeBitForBit) {
  const Scratch folder;
  const std::string recipe = write_mixture(folder);
  for (const int64_t at : {3, 7}) {
    expect_exact_resume(recipe, folder.path("joined-" + std::to_string(at)), at,
                        in(folder, stream()));
    expect_exact_resume(recipe, folder.path("apart-" + std::to_string(at)), at,
                        in(folder, stream(kApart)));
  }
}

TEST(CorpusRuns, TellWhatTheyHaveReadOfEachCorpus) {
  const Scratch folder;
  const std::string recipe = write_mixture(folder);
  Recorder recorder;
  train_file(recipe, folder.path("run"),
             {"train.steps=1024", "train.eval_every=1024", "train.checkpoint_every=2000"}, false,
             &recorder);
  const Metrics& metrics = recorder.evals.back().metrics;
  const auto value = [&](const std::string& name) {
    const double* found = find_metric(metrics, name);
    EXPECT_NE(found, nullptr) << name;
    return found == nullptr ? -1.0 : *found;
  };
  // 1024 steps of 6 rows: one block of 4096 rows, which is shared 3 : 1 exactly, and 2048 more.
  const double rows = 1024 * 6;
  EXPECT_EQ(value("tokens.numbers") + value("tokens.words"), rows * 16);
  EXPECT_NEAR(value("tokens.numbers"), 0.75 * rows * 16, 6 * std::sqrt(2048 * 0.1875) * 16);
  // Of 150 documents of 25 letters and an end, a tenth is held out.
  EXPECT_DOUBLE_EQ(value("epochs.words"), value("tokens.words") / (135 * 26));
  EXPECT_THAT(describe(load_recipe(recipe)).data,
              AllOf(HasSubstr("numbers 75% of the rows"), HasSubstr("in 12 steps: numbers")));
}

TEST(CorpusRuns, OnShardsAreThoseOnTheSameTokens) {
  const Scratch folder;
  const std::string recipe = write_mixture(folder);
  const std::string one = "data={type: token-shards, folder: " + folder.path("numbers") + "}";
  // The same ids as raw files.
  const auto data = data::open_text_dataset(parse_yaml(
      "{type: token-shards, folder: " + folder.path("numbers") + ", validation: 0}", "r"));
  std::string raw;
  for (const data::TokenId id : data->train.tokens.slice(0, data->train.tokens.size())) {
    raw += static_cast<char>(id & 0xff);
    raw += static_cast<char>(id >> 8);
  }
  folder.write("train.bin", raw);
  const std::string files =
      "data={type: token-files, files: [" + folder.path("train.bin") +
      "], validation: 0, tokenizer: {file: " + folder.path("numbers/tokenizer.json") + "}}";
  for (const char* documents : {"joined", "apart"}) {
    const std::vector<std::string> more = {"task.documents=" + std::string(documents),
                                           "data.validation=0", "train.eval_every=1000"};
    const auto run = [&](const std::string& source, const std::string& name) {
      std::vector<std::string> overrides = {source};
      overrides.insert(overrides.end(), more.begin(), more.end());
      train_file(recipe, folder.path(name + documents), overrides);
      return read_checkpoint(find_checkpoint(folder.path(name + documents)).path);
    };
    expect_same_bits(run(one, "shards").model, run(files, "files").model);
  }
}

TEST(CorpusRuns, PackedEvaluationCountsWhatIsPredicted) {
  const Scratch folder;
  const std::string recipe = write_mixture(folder);
  Recorder recorder;
  train_file(recipe, folder.path("run"), kApart, false, &recorder);
  const Metrics& metrics = recorder.evals.back().metrics;
  const double* bits = find_metric(metrics, "bits_per_token");
  const double* per_byte = find_metric(metrics, "bits_per_byte");
  ASSERT_NE(bits, nullptr);
  ASSERT_NE(per_byte, nullptr);
  // Of a document of n letters and an end, n tokens are predicted, n - 1 of them letters.
  EXPECT_GT(*per_byte, *bits);
  EXPECT_LT(*per_byte, 1.2 * *bits);
}

TEST(CorpusRuns, SayWhatTheyCannotDo) {
  const Scratch folder;
  const std::string recipe = write_mixture(folder);
  const auto error = [&](std::vector<std::string> overrides) {
    return build_error(recipe, in(folder, std::move(overrides)));
  };
  EXPECT_THAT(error({"task.documents=apart", "model.attention={type: linear}"}),
              HasSubstr("attention 'linear' of layer 0 cannot keep packed documents apart"));
  EXPECT_THAT(error({"task.positions=window"}), HasSubstr("documents kept apart"));
  EXPECT_THAT(error({"model.context=100000"}), HasSubstr("the data of 'numbers' have"));
  EXPECT_THAT(error(stream({"evaluation.baselines=[unigram]"})), HasSubstr("unigram"));
  EXPECT_THAT(error({"data.corpora=[{name: a, folder: nowhere}]"}),
              HasSubstr("no folder of token shards"));
}

TEST(CorpusRuns, MaskedModelsReadThemToo) {
  const Scratch folder;
  const std::string recipe = write_mixture(folder);
  const std::vector<std::string> encoder = {
      "task={type: masked_language_modeling}",
      "model={type: encoder, layers: 1, dim: 16, heads: 2, context: 16, pooler: false}"};
  expect_exact_resume(recipe, folder.path("mixture"), 7, encoder);
  std::vector<std::string> streamed = in(folder, stream());
  streamed.insert(streamed.end(), encoder.begin(), encoder.end());
  expect_exact_resume(recipe, folder.path("stream"), 7, streamed);
}

}  // namespace
}  // namespace heed::recipes
