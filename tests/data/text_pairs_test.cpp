#include "data/text_pairs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/files.h"
#include "tests/core/raises.h"
#include "tests/core/temp_folder.h"

namespace heed::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<int64_t>;

TextPairs three() {
  return TextPairs({.train = {{"ab", "b"}, {"a", "abab"}, {"bbb", ""}}}, PairOptions{});
}

TEST(TextPairs, BatchesArePaddedAndEnd) {
  const TextPairs data = three();  // ids: a 0, b 1; the end is 2
  EXPECT_EQ(end_id(data.tokenizer()), 2);
  const PairBatch batch = data.evaluation_batch(Part::train, 0, {.batch = 4});
  EXPECT_EQ(batch.ids.to_vector<int64_t>(), (Ids{0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0}));
  EXPECT_EQ(batch.lengths.to_vector<int64_t>(), (Ids{2, 1, 3, 1}));
  EXPECT_EQ(batch.targets.to_vector<int64_t>(),
            (Ids{1, 2,    -100, -100, -100, 0,    1,    0,    1,    2,
                 2, -100, -100, -100, -100, -100, -100, -100, -100, -100}));
  EXPECT_EQ(batch.rows, 3);
  EXPECT_EQ(batch.count, 2 + 5 + 1);
  EXPECT_EQ(data.longest_source(), 3);
  EXPECT_EQ(data.longest_target(), 5);
}

TEST(TextPairs, EveryPairComesOnceAnEpoch) {
  const TextPairs data = three();
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    std::multiset<int64_t> lengths;
    for (int64_t i = 3 * epoch; i < 3 * epoch + 3; ++i) {
      lengths.insert(data.train_batch(i, {.batch = 1}).lengths.data<int64_t>()[0]);
    }
    EXPECT_THAT(lengths, ElementsAre(1, 2, 3));
  }
}

TEST(TextPairs, RanksShareTheBatch) {
  const TextPairs data = three();
  const Tensor whole = data.train_batch(5, {.batch = 2, .seed = 3}).lengths;
  for (int64_t rank = 0; rank < 2; ++rank) {
    const PairBatch part = data.train_batch(5, {2, 3, {rank, 2}});
    EXPECT_EQ(part.lengths.data<int64_t>()[0], whole.data<int64_t>()[rank]);
  }
}

TEST(TextPairs, LongTextsLoseTheirEndAndStillEnd) {
  PairOptions options;
  options.max_source = 2;
  options.max_target = 3;
  const TextPairs data({.train = {{"abba", "abba"}}}, options);
  const PairBatch batch = data.train_batch(0, {.batch = 1});
  EXPECT_EQ(batch.ids.to_vector<int64_t>(), (Ids{0, 1}));
  EXPECT_EQ(batch.targets.to_vector<int64_t>(), (Ids{0, 1, 2}));
}

TEST(TextPairs, ReadsTables) {
  const std::string tsv_file = temp_folder() + "pairs.tsv", json_file = temp_folder() + "b.jsonl";
  write_file_atomically(tsv_file, "x\tone\tun\ny\ttwo\tdeux\n");
  write_file_atomically(json_file, "{\"en\": \"three\", \"n\": 3}\n");
  PairTableOptions tsv;
  tsv.train = {tsv_file};
  tsv.source = "1";
  tsv.target = "2";
  EXPECT_EQ(open_pair_table(tsv)->size(Part::train), 2);
  PairTableOptions json;
  json.train = {json_file};
  json.source = "en";
  json.target = "n";
  const auto data = open_pair_table(json);
  const PairBatch batch = data->train_batch(0, {.batch = 1});
  EXPECT_EQ(data->tokenizer().token(static_cast<TokenId>(batch.targets.data<int64_t>()[0])), "3");
  tsv.target = "3";
  EXPECT_THAT(request_error([&] { open_pair_table(tsv); }), HasSubstr("pairs.tsv:1"));
}

TEST(TextPairs, HeadersNameColumnsAndPartsAreHeldOut) {
  const std::string file = temp_folder() + "named.csv";
  std::string rows = "n,fr,en\n";
  for (int i = 0; i < 20; ++i) rows += fmt::format("{0},f{0},e{0}\n", i);
  write_file_atomically(file, rows);
  PairTableOptions options;
  options.train = {file};
  options.table.header = true;
  options.source = "fr";
  options.target = "en";
  options.held_out = {0.2, 0.1};
  const auto data = open_pair_table(options);
  std::set<std::string> sources;
  for (const auto& [part, count] :
       {std::pair(Part::train, 14), std::pair(Part::validation, 4), std::pair(Part::test, 2)}) {
    ASSERT_EQ(data->size(part), count);
    for (int64_t i = 0; i < count; ++i) {
      const PairBatch batch = data->evaluation_batch(part, i, {.batch = 1});
      std::string source, target;
      for (const int64_t id : batch.ids.to_vector<int64_t>()) {
        source += data->tokenizer().token(static_cast<TokenId>(id));
      }
      for (int64_t at = 0; at + 1 < batch.targets.size(1); ++at) {
        target += data->tokenizer().token(static_cast<TokenId>(batch.targets.data<int64_t>()[at]));
      }
      EXPECT_EQ(source[0], 'f');
      EXPECT_EQ(target, "e" + source.substr(1));
      sources.insert(source);
    }
  }
  EXPECT_EQ(sources.size(), 20u) << "each pair is in one part";
  options.source = "fre";
  EXPECT_THAT(request_error([&] { open_pair_table(options); }), HasSubstr("did you mean 'fr'"));
}

TEST(TextPairs, MeanLengthsAreOfTheTrainingPairs) {
  const TextPairs data({.train = {{"ab", "b"}, {"aaaaaa", ""}}, .validation = {{"b", "abababab"}}},
                       PairOptions{});
  EXPECT_EQ(data.mean_source(), 4);
  EXPECT_EQ(data.mean_target(), 2);  // 1.5 with the ends, rounded
}

TEST(SyntheticPairs, RefuseWhatTheirTaskWouldIgnore) {
  const auto error = [](const std::string& options) {
    return request_error([&] {
      read_options<SyntheticPairOptions>(parse_yaml(options, "r.yaml"), "dataset synthetic-pairs");
    });
  };
  EXPECT_THAT(error("task: listops\nsymbols: 4"), HasSubstr("r.yaml:2"));
  EXPECT_THAT(error("task: listops\nsymbols: 4"), HasSubstr("'listops' has no `symbols`"));
  EXPECT_THAT(error("task: listops\nmin_length: 2"), HasSubstr("'listops' has no `min_length`"));
  EXPECT_THAT(error("task: sort\ndepth: 3"), HasSubstr("'sort' has no `depth`"));
}

TEST(SyntheticPairs, FollowTheirRules) {
  SyntheticPairOptions options{.min_length = 2, .length = 7, .symbols = 5};
  for (const char* task : {"copy", "reverse", "sort"}) {
    options.task = task;
    std::set<size_t> lengths;
    for (int64_t i = 0; i < 200; ++i) {
      const TextPair pair = synthetic_pair(options, Part::train, i);
      lengths.insert(pair.source.size());
      std::string expected = pair.source;
      EXPECT_EQ(expected.find_first_not_of("abcde"), std::string::npos);
      if (options.task == "reverse") std::reverse(expected.begin(), expected.end());
      if (options.task == "sort") std::sort(expected.begin(), expected.end());
      EXPECT_EQ(pair.target, expected) << task;
    }
    EXPECT_THAT(lengths, ElementsAre(2, 3, 4, 5, 6, 7));
  }
  const TextPair a = synthetic_pair(options, Part::train, 0);
  EXPECT_EQ(a.source, synthetic_pair(options, Part::train, 0).source);
  EXPECT_NE(a.source, synthetic_pair(options, Part::test, 0).source);
}

TEST(SyntheticPairs, ListOpsIsWrittenAndItsValueTrue) {
  const SyntheticPairOptions options{.task = "listops", .length = 20, .depth = 1};
  bool operation = false;
  for (int64_t i = 0; i < 50; ++i) {
    const TextPair pair = synthetic_pair(options, Part::train, i);
    ASSERT_EQ(pair.target.size(), 1u);
    if (pair.source.size() == 1) {
      EXPECT_EQ(pair.source, pair.target);
    } else if (pair.source.starts_with("max ")) {
      operation = true;
      std::string digits = pair.source;
      std::erase_if(digits, [](char c) { return c < '0' || c > '9'; });
      EXPECT_EQ(pair.target[0], *std::max_element(digits.begin(), digits.end())) << pair.source;
      EXPECT_TRUE(pair.source.ends_with(" )"));
    }
  }
  EXPECT_TRUE(operation);
}

// The question that ends a sequence of data/synthetic.h is no part of a source.
TEST(SyntheticPairs, ListOpsHasAllOfItsLength) {
  for (const int64_t length : {1, 4, 9}) {
    const SyntheticPairOptions options{.task = "listops", .length = length};
    int64_t longest = 0;
    for (int64_t i = 0; i < 400; ++i) {
      const std::string source = synthetic_pair(options, Part::train, i).source;
      longest = std::max<int64_t>(longest, 1 + std::count(source.begin(), source.end(), ' '));
    }
    EXPECT_EQ(longest, length);
  }
}

}  // namespace
}  // namespace heed::data
