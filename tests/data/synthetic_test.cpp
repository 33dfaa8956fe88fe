#include "data/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace heed::data {
namespace {

using Numbers = std::vector<int64_t>;

const std::vector<std::string> kTasks = {"copy",    "reverse",   "recall", "two_channel",
                                         "passkey", "induction", "markov", "listops",
                                         "carry",   "needle"};

TEST(Synthetic, ExamplesAreFunctionsOfSeedAndIndex) {
  for (const std::string& task : kTasks) {
    const SyntheticOptions options{.task = task, .length = 65};  // needle: 4 n + 1
    for (int64_t i = 0; i < 50; ++i) {
      const SyntheticExample example = synthetic_example(options, 1, i);
      EXPECT_EQ(example.inputs, synthetic_example(options, 1, i).inputs);
      ASSERT_EQ(example.inputs.size(), 65u) << task;
      ASSERT_EQ(example.targets.size(), 65u) << task;
      for (const int64_t token : example.inputs) {
        ASSERT_TRUE(token >= 0 && token < synthetic_vocab(options)) << task;
      }
      EXPECT_TRUE(std::any_of(example.targets.begin(), example.targets.end(),
                              [](int64_t target) { return target != kIgnoreTarget; }));
    }
    // A short listops tree may occur twice; ten in a row that agree cannot be chance.
    bool differ_by_seed = false, differ_by_index = false;
    for (int64_t i = 0; i < 10; ++i) {
      const Numbers own = synthetic_example(options, 1, i).inputs;
      differ_by_seed |= own != synthetic_example(options, 2, i).inputs;
      differ_by_index |= own != synthetic_example(options, 1, i + 1).inputs;
    }
    EXPECT_TRUE(differ_by_seed && differ_by_index) << task;
  }
}

TEST(Synthetic, CopyAndReverseAnswerAsTheySay) {
  for (const std::string task : {"copy", "reverse"}) {
    const SyntheticExample e = synthetic_example({.task = task, .length = 10}, 3, 4);
    Numbers text(e.inputs.begin(), e.inputs.begin() + 5);
    if (task == "reverse") std::reverse(text.begin(), text.end());
    EXPECT_EQ(e.inputs[5], 1);
    EXPECT_EQ(Numbers(e.targets.begin() + 5, e.targets.end()), text);
    EXPECT_EQ(Numbers(e.inputs.begin() + 6, e.inputs.end()), Numbers(text.begin(), text.end() - 1));
  }
}

TEST(Synthetic, RecallAsksForTheValueOfAKey) {
  const SyntheticOptions options{.task = "recall", .length = 24, .pairs = 8, .queries = 8};
  for (int64_t i = 0; i < 20; ++i) {
    const SyntheticExample e = synthetic_example(options, 1, i);
    std::map<int64_t, int64_t> values;
    for (size_t p = 0; p < 8; ++p) values[e.inputs[2 * p]] = e.inputs[2 * p + 1];
    ASSERT_EQ(values.size(), 8u) << "keys differ";
    for (size_t q = 16; q < 24; ++q) EXPECT_EQ(e.targets[q], values.at(e.inputs[q]));
  }
}

TEST(Synthetic, TwoChannelsHoldKeysBesideValues) {
  const SyntheticOptions options{.task = "two_channel", .length = 12, .pairs = 8, .queries = 4};
  const SyntheticExample e = synthetic_example(options, 1, 0);
  std::map<int64_t, int64_t> values;
  for (size_t p = 0; p < 8; ++p) values[e.inputs[p]] = e.second[p];
  for (size_t q = 8; q < 12; ++q) {
    EXPECT_EQ(e.second[q], 0);
    EXPECT_EQ(e.targets[q], values.at(e.inputs[q]));
  }
}

TEST(Synthetic, PasskeyAndInductionPointBack) {
  for (int64_t i = 0; i < 30; ++i) {
    const SyntheticExample p =
        synthetic_example({.task = "passkey", .length = 20, .digits = 3}, 1, i);
    const auto mark = std::find(p.inputs.begin(), p.inputs.end(), 1);
    const auto ask = std::find(p.inputs.begin(), p.inputs.end(), 2);
    ASSERT_TRUE(mark < ask && ask != p.inputs.end());
    EXPECT_EQ(ask - p.inputs.begin(), 17);
    EXPECT_EQ(Numbers(p.targets.begin() + 17, p.targets.end()), Numbers(mark + 1, mark + 4));
    const SyntheticExample n = synthetic_example({.task = "induction", .length = 9}, 1, i);
    const auto first = std::find(n.inputs.begin(), n.inputs.end(), 1);
    EXPECT_EQ(n.inputs.back(), 1);
    EXPECT_EQ(n.targets.back(), *(first + 1));
  }
}

TEST(Synthetic, CarryAsksForItsKeyFromItsPlaceOn) {
  const SyntheticOptions options{.task = "carry", .length = 40, .symbols = 16};
  std::map<int64_t, int64_t> keys, places;
  for (int64_t i = 0; i < 2000; ++i) {
    const SyntheticExample e = synthetic_example(options, 1, i);
    const auto is_key = [](int64_t token) { return token >= 3 + 16; };
    const auto at = std::find_if(e.inputs.begin(), e.inputs.end(), is_key) - e.inputs.begin();
    EXPECT_EQ(std::count_if(e.inputs.begin(), e.inputs.end(), is_key), 1);
    ASSERT_LT(at, 32);
    const int64_t key = e.inputs[static_cast<size_t>(at)];
    for (int64_t p = 0; p < 40; ++p)
      ASSERT_EQ(e.targets[static_cast<size_t>(p)], p < at ? kIgnoreTarget : key);
    ++keys[key], ++places[at];
  }
  EXPECT_EQ(keys.size(), 8u);
  EXPECT_EQ(places.size(), 32u);
  // The last place alone asks, and the key stands where it is told to.
  SyntheticOptions last = options;
  last.asked = "last";
  last.places = {3, 5};
  for (int64_t i = 0; i < 20; ++i) {
    const SyntheticExample e = synthetic_example(last, 1, i);
    EXPECT_EQ(std::count(e.targets.begin(), e.targets.end(), kIgnoreTarget), 39);
    EXPECT_EQ(e.targets.back(), std::max(e.inputs[3], e.inputs[5]));
  }
}

TEST(Synthetic, PairedNeedleHasKeysAndValuesSideBySide) {
  const SyntheticOptions options{
      .task = "needle", .length = 40, .symbols = 64, .queries = 8, .values = 5, .paired = true};
  for (int64_t i = 0; i < 100; ++i) {
    const SyntheticExample e = synthetic_example(options, 1, i);
    ASSERT_EQ(e.second.size(), 40u);
    std::map<int64_t, Numbers> pairs;
    for (size_t p = 0; p < 32; ++p) {
      pairs[e.inputs[p]].push_back(e.second[p]);
      EXPECT_EQ(e.targets[p], kIgnoreTarget);
    }
    ASSERT_EQ(pairs.size(), 16u);
    for (const auto& [key, both] : pairs) {
      ASSERT_EQ(both.size(), 2u);
      ASSERT_EQ(both[0], both[1]);
      ASSERT_TRUE(both[0] >= 67 && both[0] < 72);
    }
    std::set<int64_t> asked;
    for (size_t p = 32; p < 40; ++p) {
      EXPECT_EQ(e.second[p], 0);
      EXPECT_EQ(e.targets[p], pairs.at(e.inputs[p])[0]);
      asked.insert(e.inputs[p]);
    }
    EXPECT_EQ(asked.size(), 8u);
    EXPECT_NE(e.targets.back(), 67);
  }
  SyntheticOptions last = options;
  last.asked = "last";
  const SyntheticExample e = synthetic_example(last, 1, 0);
  EXPECT_EQ(std::count(e.targets.begin(), e.targets.end(), kIgnoreTarget), 39);
  SyntheticOptions odd = options;
  odd.length = 41;
  EXPECT_THROW(synthetic_example(odd, 1, 0), RequestError);
}

TEST(Synthetic, NeedleAsksForTheRareValueOfAKeySeenTwice) {
  const SyntheticOptions options{
      .task = "needle", .length = 65, .symbols = 512, .values = 16, .asked = "last"};
  int64_t usual = 0, values = 0;
  for (int64_t i = 0; i < 200; ++i) {
    const SyntheticExample e = synthetic_example(options, 1, i);
    std::map<int64_t, Numbers> pairs;
    for (size_t p = 0; p < 64; p += 2) pairs[e.inputs[p]].push_back(e.inputs[p + 1]);
    ASSERT_EQ(pairs.size(), 16u);
    for (const auto& [key, both] : pairs) {
      ASSERT_TRUE(key >= 3 && key < 515);
      ASSERT_EQ(both.size(), 2u);
      ASSERT_EQ(both[0], both[1]);
      ASSERT_TRUE(both[0] >= 515 && both[0] < 531);
      usual += both[0] == 515;
      ++values;
    }
    EXPECT_EQ(e.targets.back(), pairs.at(e.inputs.back())[0]);
    EXPECT_NE(e.targets.back(), 515);
    EXPECT_EQ(std::count(e.targets.begin(), e.targets.end(), kIgnoreTarget), 64);
  }
  // 15 of 16 keys have the usual value with probability 0.6 + 0.4 / 16; five standard deviations.
  EXPECT_NEAR(static_cast<double>(usual) / static_cast<double>(values), 15.0 / 16 * 0.625, 0.05);
  SyntheticOptions every = options;
  every.asked = "every";
  const SyntheticExample e = synthetic_example(every, 1, 0);
  for (size_t p = 0; p < 64; ++p)
    EXPECT_EQ(e.targets[p], p % 2 == 0 ? e.inputs[p + 1] : kIgnoreTarget) << p;
}

TEST(Synthetic, MarkovTargetsAreTheNextInputs) {
  const SyntheticExample e = synthetic_example({.task = "markov", .symbols = 3}, 1, 0);
  for (size_t i = 0; i + 1 < e.inputs.size(); ++i) EXPECT_EQ(e.targets[i], e.inputs[i + 1]);
}

// Evaluates an expression by itself, from left to right with a stack.
int64_t evaluate(const Numbers& tokens) {
  std::vector<Numbers> stack = {{}};
  Numbers operators;
  for (const int64_t token : tokens) {
    if (token == 2) break;
    if (token < 13) {
      stack.back().push_back(token - 3);
    } else if (token < 17) {
      operators.push_back(token - 13);
      stack.emplace_back();
    } else {
      Numbers values = stack.back();
      stack.pop_back();
      EXPECT_GE(values.size(), 2u);
      std::sort(values.begin(), values.end());
      const size_t n = values.size();
      int64_t sum = 0;
      for (const int64_t value : values) sum += value;
      const Numbers results = {values[n - 1], values[0], (values[(n - 1) / 2] + values[n / 2]) / 2,
                               sum % 10};
      stack.back().push_back(results[static_cast<size_t>(operators.back())]);
      operators.pop_back();
    }
  }
  EXPECT_EQ(stack.size(), 1u);
  EXPECT_EQ(stack[0].size(), 1u);
  return stack[0][0];
}

TEST(Synthetic, ListopsTargetsAreTheValues) {
  for (const int64_t length : {2, 6, 30, 100}) {
    for (int64_t i = 0; i < 200; ++i) {
      const SyntheticExample e = synthetic_example({.task = "listops", .length = length}, 1, i);
      const auto ask = std::find(e.inputs.begin(), e.inputs.end(), 2);
      ASSERT_NE(ask, e.inputs.end());
      EXPECT_EQ(e.targets[static_cast<size_t>(ask - e.inputs.begin())], 3 + evaluate(e.inputs));
    }
  }
}

TEST(Synthetic, RanksShareABatch) {
  const SyntheticOptions options{.task = "two_channel"};
  const SyntheticBatch whole = synthetic_batch(options, 4, 1, 2);
  EXPECT_EQ(whole.tokens.inputs.shape(), (Shape{4, 64}));
  EXPECT_EQ(whole.tokens.count, 16);
  const SyntheticBatch half = synthetic_batch(options, 4, 1, 2, {.rank = 1, .world = 2});
  const Numbers all = whole.second.to_vector<int64_t>();
  EXPECT_EQ(half.second.to_vector<int64_t>(), Numbers(all.begin() + 128, all.end()));
}

TEST(Synthetic, RefusesOptionsThatItsTaskWouldIgnore) {
  const auto error = [](const std::string& options) {
    try {
      read_options<SyntheticOptions>(parse_yaml(options, "r.yaml"), "dataset synthetic");
    } catch (const RequestError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  const std::pair<const char*, const char*> wrong[] = {{"listops", "symbols"},
                                                       {"copy", "pairs"},
                                                       {"markov", "queries"},
                                                       {"recall", "digits"},
                                                       {"passkey", "depth"}};
  for (const auto& [task, option] : wrong) {
    EXPECT_NE(error(fmt::format("task: {}\n{}: 3", task, option))
                  .find(fmt::format("the task '{}' has no `{}`", task, option)),
              std::string::npos)
        << task;
  }
  EXPECT_EQ(error("task: two_channel\nsymbols: 40\npairs: 3\nqueries: 3"), "");
}

TEST(Synthetic, RefusesWhatDoesNotFit) {
  EXPECT_THROW(synthetic_example({.task = "recall", .length = 19}, 1, 0), RequestError);
  EXPECT_THROW(synthetic_example({.task = "recall", .symbols = 14}, 1, 0), RequestError);
  EXPECT_THROW(synthetic_example({.task = "passkey", .length = 10}, 1, 0), RequestError);
  EXPECT_THROW(synthetic_example({.task = "sort"}, 1, 0), RequestError);
  EXPECT_NO_THROW(synthetic_example({.task = "passkey", .length = 11}, 1, 0));
}

}  // namespace
}  // namespace heed::data
