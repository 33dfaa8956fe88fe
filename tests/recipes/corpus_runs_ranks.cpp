// Packed documents, mixtures and streams under every mesh.
#include <gtest/gtest.h>

#include "data/byte_tokenizer.h"
#include "data/tokenize_corpus.h"
#include "tests/recipes/rank_runs.h"

namespace heed::recipes {
namespace {

constexpr const char* kRecipe = R"(
name: gpt
seed: 3
task: {type: language_modeling, documents: apart, sampling: epochs}
data: {type: token-shards, corpora: [{name: a, folder: a, weight: 2}, {name: b, folder: b}],
       validation: 0.2}
model: {type: gpt, layers: 2, dim: 24, heads: 12, context: 24, bias: false, position: rotary}
train: {steps: 8, batch_size: 12, accumulation: 2, clip: 1.0, log_every: 1, eval_every: 4}
optimizer: {type: adamw, lr: 1e-2, weight_decay: 0.1}
evaluation: {batch_size: 12}
)";

std::string write_corpora(const SharedScratch& folder) {
  if (world().rank() == 0) {
    for (const std::string name : {"a", "b"}) {
      std::string lines;
      for (int i = 0; i < 300; ++i) {
        lines += "{\"text\": \"" + name + " " + std::string(static_cast<size_t>(i % 13), 'x') +
                 std::to_string(i % 7) + "\"}\n";
      }
      data::TokenizeOptions options;
      options.corpus.files = {folder.own().write(name + ".jsonl", lines)};
      options.shard_bytes = 700;
      data::tokenize_corpus(options, data::ByteTokenizer(), folder.path(name));
    }
  }
  return write_recipe(folder, kRecipe);
}

std::vector<std::string> stream(const SharedScratch& folder) {
  return {"task={type: language_modeling, documents: apart}",
          "data={type: text-stream, files: [" + folder.path("a.jsonl") + ", " +
              folder.path("b.jsonl") + "], validation_files: [" + folder.path("b.jsonl") +
              "], max_validation_bytes: 2000, shuffle: 50}"};
}

TEST(CorpusRanks, DataParallelEqualsOneRank) {
  const SharedScratch folder;
  const std::string recipe = write_corpora(folder);
  expect_like_one_rank(folder, recipe, {});
}

TEST(CorpusRanks, StreamsEqualOneRank) {
  const SharedScratch folder;
  const std::string recipe = write_corpora(folder);
  expect_like_one_rank(folder, recipe, stream(folder));
}

TEST(CorpusRanks, SharedTokensOfPackedDocumentsEqualOneRank) {
  for (const char* method : {"ring", "heads", "rsa"}) {
    const SharedScratch folder;
    const std::string recipe = write_corpora(folder);
    expect_like_one_rank(folder, recipe, {},
                         {fmt::format("parallel.sequence={}", world().size()),
                          fmt::format("parallel.sequence_attention={}", method)});
  }
}

TEST(CorpusRanks, SharedMatricesEqualOneRank) {
  const SharedScratch folder;
  const std::string recipe = write_corpora(folder);
  expect_like_one_rank(folder, recipe, {}, {fmt::format("parallel.tensor={}", world().size())});
}

TEST(CorpusRanks, PipelinesEqualOneRank) {
  const SharedScratch folder;
  const std::string recipe = write_corpora(folder);
  // With an odd number of ranks each is a stage, of one layer.
  const int stages = world().size() % 2 == 0 ? 2 : world().size();
  expect_like_one_rank(folder, recipe, {fmt::format("model.layers={}", stages)},
                       {fmt::format("parallel.pipeline={}", stages)});
}

}  // namespace
}  // namespace heed::recipes
