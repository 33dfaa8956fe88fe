// Mechanisms whose attention follows a pattern: whom a token hears, decoding, gradients.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/copy/copy.h"
#include "kernels/index/index.h"
#include "nn/attention/paged_kv_cache.h"
#include "nn/attention/registry.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::random_tensor;
using testing::relative_distance;

std::unique_ptr<AttentionMechanism> made(const std::string& slot, const AttentionHost& host) {
  auto mechanism = make_attention(parse_yaml(slot, "test"), host);
  mechanism->initialise(1);
  mechanism->convert(DType::f64);
  testing::randomise(*mechanism);
  return mechanism;
}

/// Which tokens a token hears: those whose change changes its output.
std::vector<std::vector<bool>> hearing(AttentionMechanism& mechanism, int64_t tokens, int64_t dim,
                                       const AttentionContext& context) {
  // Small, so that no pair's probability vanishes.
  std::vector<double> small = random_tensor({1, tokens, dim}, "x", DType::f64).to_vector<double>();
  for (double& value : small) value *= 0.1;
  const Tensor x = Tensor::from(small, {1, tokens, dim});
  const auto before = mechanism.forward(x, context).to_vector<double>();
  std::vector<std::vector<bool>> hears(static_cast<size_t>(tokens),
                                       std::vector<bool>(static_cast<size_t>(tokens)));
  for (int64_t j = 0; j < tokens; ++j) {
    auto values = x.to_vector<double>();
    for (int64_t d = 0; d < dim; ++d) values[static_cast<size_t>(j * dim + d)] += 0.5;
    const auto after =
        mechanism.forward(Tensor::from(values, x.shape()), context).to_vector<double>();
    for (int64_t i = 0; i < tokens; ++i)
      for (int64_t d = 0; d < dim; ++d) {
        const auto at = static_cast<size_t>(i * dim + d);
        if (before[at] != after[at]) hears[static_cast<size_t>(i)][static_cast<size_t>(j)] = true;
      }
  }
  return hears;
}

template <class Fn>
void expect_hearing(const std::string& slot, const AttentionHost& host, int64_t tokens,
                    const AttentionContext& context, const Fn& expected) {
  const auto mechanism = made(slot, host);
  const auto hears = hearing(*mechanism, tokens, host.dim, context);
  for (int64_t i = 0; i < tokens; ++i)
    for (int64_t j = 0; j < tokens; ++j)
      EXPECT_EQ(hears[static_cast<size_t>(i)][static_cast<size_t>(j)], expected(i, j))
          << slot << ": " << i << " hears " << j;
}

const AttentionHost kCausal{.dim = 8, .heads = 2};
const AttentionHost kBoth{.dim = 8, .heads = 2, .causal = false};
const AttentionHost kSecondLayer{.dim = 8, .heads = 2, .causal = false, .layer = 1, .layers = 2};

TEST(PatternAttention, TokensHearWhomThePatternSays) {
  expect_hearing("{type: window, window: 3, sinks: 1}", kCausal, 9, {},
                 [](int64_t i, int64_t j) { return j <= i && (j == 0 || i - j < 3); });
  expect_hearing("{type: window, window: 4}", kBoth, 9, {},
                 [](int64_t i, int64_t j) { return std::abs(i - j) <= 2; });
  expect_hearing("{type: power, block: 2, window: 1, sinks: 0}", kCausal, 18, {},
                 [](int64_t i, int64_t j) {
                   const int64_t d = i / 2 - j / 2;
                   return j <= i && (d & (d - 1)) == 0;
                 });
  const AttentionContext map{.grid = {4, 6}};
  expect_hearing("{type: neighborhood, window: 3}", kBoth, 24, map, [](int64_t i, int64_t j) {
    const int64_t row = std::clamp<int64_t>(i / 6 - 1, 0, 1);
    const int64_t column = std::clamp<int64_t>(i % 6 - 1, 0, 3);
    return j / 6 >= row && j / 6 < row + 3 && j % 6 >= column && j % 6 < column + 3;
  });
  expect_hearing(
      "{type: window_partition, window: 2, shift: true}", kBoth, 24, map,
      [](int64_t i, int64_t j) { return i / 6 / 2 == j / 6 / 2 && i % 6 / 2 == j % 6 / 2; });
  expect_hearing("{type: window_partition, window: 2, shift: true}", kSecondLayer, 24, map,
                 [](int64_t i, int64_t j) {
                   return (i / 6 + 1) / 2 == (j / 6 + 1) / 2 && (i % 6 + 1) / 2 == (j % 6 + 1) / 2;
                 });
  expect_hearing("{type: halo, block: 2, halo: 1}", kBoth, 24, map, [](int64_t i, int64_t j) {
    const int64_t row = i / 6 / 2 * 2, column = i % 6 / 2 * 2;
    return j / 6 >= row - 1 && j / 6 < row + 3 && j % 6 >= column - 1 && j % 6 < column + 3;
  });
}

TEST(PatternAttention, AClassTokenSeesTheMapAndIsSeen) {
  const AttentionContext behind{.grid = {4, 6}, .globals = 1};
  for (const char* slot : {"{type: window_partition, window: 2}",
                           "{type: window_partition, window: 2, relative: true}"}) {
    expect_hearing(slot, kBoth, 25, behind, [](int64_t i, int64_t j) {
      if (i == 0 || j == 0) return true;
      --i, --j;
      return i / 6 / 2 == j / 6 / 2 && i % 6 / 2 == j % 6 / 2;
    });
  }
  expect_hearing("{type: halo, block: 2, halo: 1}", kBoth, 25, behind, [](int64_t i, int64_t j) {
    if (i == 0 || j == 0) return true;
    --i, --j;
    const int64_t row = i / 6 / 2 * 2, column = i % 6 / 2 * 2;
    return j / 6 >= row - 1 && j / 6 < row + 3 && j % 6 >= column - 1 && j % 6 < column + 3;
  });
}

TEST(PatternAttention, PatternsThatHoldEveryPairEqualSoftmax) {
  const Tensor x = random_tensor({2, 16, 8}, "x", DType::f64);
  const AttentionContext map{.grid = {4, 4}};
  const auto expect_equal = [&](const std::string& slot, const AttentionHost& host) {
    const Tensor want = made("softmax", host)->forward(x, map);
    EXPECT_LT(relative_distance(made(slot, host)->forward(x, map), want), 1e-13) << slot;
  };
  expect_equal("{type: window, window: 16}", kCausal);
  expect_equal("{type: window, window: 32}", kBoth);
  expect_equal("{type: power, block: 4, window: 4}", kCausal);
  expect_equal("{type: neighborhood, window: 9}", kBoth);
  expect_equal("{type: window_partition, window: 4}", kBoth);
  expect_equal("{type: halo, block: 4, halo: 0}", kBoth);
}

TEST(PatternAttention, DecodingWithACacheEqualsTheWholePass) {
  for (const char* slot :
       {"{type: softmax, softcap: 2, sink: true}", "{type: window, window: 5, sinks: 2}",
        "{type: power, block: 4, window: 1}", "{type: neighborhood, window: 4}",
        "{type: neighborhood, window: 3, dilation: 4, stride: 2, relative: true}"}) {
    for (const char* position : {"rotary", "alibi"}) {
      AttentionHost host = kCausal;
      host.position = position;
      const auto mechanism = made(slot, host);
      mechanism->eval();
      const Tensor x = random_tensor({2, 23, 8}, "x", DType::f64);
      KvCache contiguous(1);
      PagedKvCache small(1, 3), large(1, 16);
      for (KvCache* cache :
           {&contiguous, static_cast<KvCache*>(&small), static_cast<KvCache*>(&large)})
        EXPECT_LT(testing::decoding_distance(*mechanism, x, {8, 1, 1, 5, 1, 1, 6}, *cache), 1e-13)
            << slot << " " << position;
      // Pages of 3 tokens, for 23 in each row; a window lies in one piece (sinks under ALiBi have
      // none, for whose distances every token counts).
      const bool window = std::string(slot).find("type: window") != std::string::npos;
      EXPECT_EQ(small.pages(), window && host.position == "rotary" ? 0 : 2 * 8) << slot;
    }
  }
}

TEST(PatternAttention, AWindowForgetsWhatItNoLongerSees) {
  struct Case {
    const char* slot;
    KeySpan span;
    const char* position;
  };
  for (const Case& c : {Case{"{type: window, window: 6}", {0, 5}, "rotary"},
                        Case{"{type: window, window: 6}", {0, 5}, "alibi"},
                        Case{"{type: window, window: 41, sinks: 3}", {3, 40}, "rotary"},
                        Case{"{type: window, window: 1, sinks: 1}", {1, 0}, "rotary"}}) {
    AttentionHost host = kCausal;
    host.position = c.position;
    const auto mechanism = made(c.slot, host);
    mechanism->eval();
    const int64_t tokens = 300;
    const Tensor x = random_tensor({2, tokens, 8}, "x", DType::f64);
    std::vector<int64_t> steps = {70, 1, 9, 50};
    steps.resize(steps.size() + static_cast<size_t>(tokens - 130), 1);
    KvCache plain(1);
    PagedKvCache paged(1, 4);
    for (KvCache* cache : {&plain, static_cast<KvCache*>(&paged)}) {
      // The same keys at other places: the same sums but for where tiles begin.
      EXPECT_LT(testing::decoding_distance(*mechanism, x, steps, *cache), 1e-13) << c.slot;
      EXPECT_EQ(cache->length(), tokens);
      const int64_t some = c.span.behind / 4 + 16;
      EXPECT_GE(cache->stored(0), c.span.first + c.span.behind) << c.slot;
      EXPECT_LT(cache->stored(0), c.span.first + c.span.behind + some) << c.slot;
    }
    EXPECT_EQ(paged.pages(), 0);
  }
}

TEST(PatternAttention, WhatAWindowForgotFollowsRowsAndDoesNotComeBack) {
  const auto mechanism = made("{type: window, window: 5, sinks: 2}", kCausal);
  mechanism->eval();
  const NoGrad none;
  const Tensor x = random_tensor({2, 90, 8}, "x", DType::f64);
  KvCache plain(1);
  PagedKvCache paged(1, 4);
  for (KvCache* cache : {&plain, static_cast<KvCache*>(&paged)}) {
    const auto step = [&](const Tensor& rows) {
      const Tensor out = mechanism->forward(rows, {.cache = cache});
      cache->advance(rows.size(1));
      return out;
    };
    step(views::slice(x, 1, 0, 80));
    ASSERT_LT(cache->stored(0), 80);
    cache->reorder(Tensor::from(std::vector<int64_t>{1, 1}, {2}));
    const Tensor second = views::slice(x, 0, 1, 2);
    const Tensor whole = views::slice(mechanism->forward(second), 1, 80, 84);
    const Tensor after =
        kernels::take(views::slice(second, 1, 80, 84), 0,
                      Tensor::from(std::vector<int64_t>{0, 0}, {2}), DType::f64, "test");
    const Tensor out = step(after);
    for (const int64_t row : {0, 1})
      EXPECT_LT(relative_distance(views::slice(out, 0, row, row + 1), whole), 1e-13);
    cache->truncate(82);  // its window begins at token 78
    EXPECT_LT(relative_distance(views::slice(step(views::slice(after, 1, 2, 4)), 0, 0, 1),
                                views::slice(whole, 1, 2, 4)),
              1e-13);
    EXPECT_THROW(cache->truncate(60), Error);
    cache->truncate(0);
    EXPECT_EQ(cache->stored(0), 0);
    KvCache fresh(1);
    EXPECT_TRUE(testing::bitwise_equal(step(x), mechanism->forward(x, {.cache = &fresh})));
  }
}

TEST(PatternAttention, PagesReadInPlaceEqualOneBuffer) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    KvCache plain(1);
    PagedKvCache paged(1, 24);
    int64_t done = 0;
    for (const int64_t tokens : {100, 1, 3, 1}) {  // all but the first are steps of decoding
      const auto rows = [&](int64_t heads, const char* name) {
        return kernels::cast(random_tensor({2, heads, tokens, 32}, name), dtype);
      };
      const Tensor q = rows(4, "q"), k = rows(2, "k"), v = rows(2, "v");
      const AttentionSpec spec{.pattern = AttentionPattern::causal(done)};
      const auto want = plain.attend(0, q, k, v, spec).to_vector<double>();
      const auto got = paged.attend(0, q, k, v, spec).to_vector<double>();
      plain.advance(tokens), paged.advance(tokens);
      done += tokens;
      // As in paged_attention_test.cpp: logits of 32 products, summed in another order.
      const double error = 4 * 36 * 0x1p-24 * 32, r = dtype == DType::bf16 ? 0x1p-8 : 0.0;
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], want[i], error + r * std::abs(want[i])) << done;
    }
  }
}

TEST(PatternAttention, StatesFollowTheirRowsWithAndWithoutPages) {
  KvCache plain(1);
  PagedKvCache paged(1, 3);
  for (KvCache* cache : {&plain, static_cast<KvCache*>(&paged)}) {
    cache->state(0) = Tensor::from(std::vector<float>{1, 2, 3, 4}, {2, 2});
    cache->reorder(Tensor::from(std::vector<int64_t>{1, 0, 1}, {3}));
    EXPECT_EQ(cache->state(0).to_vector<float>(), (std::vector<float>{3, 4, 1, 2, 3, 4}));
  }
}

TEST(PatternAttention, PagesOfNoRowsHoldNothing) {
  PagedKvCache paged(1, 3);
  const Tensor none = Tensor::zeros({0, 2, 4, 8});
  EXPECT_EQ(paged.append(0, none, none).first.shape(), (Shape{0, 2, 4, 8}));
}

TEST(PatternAttention, PagesFollowTheirRowsWhenTheseAreReordered) {
  KvCache contiguous(1);
  PagedKvCache paged(1, 3);
  const auto rows = [](int64_t batch, int64_t tokens, const char* name) {
    return random_tensor({batch, 2, tokens, 4}, name);
  };
  for (KvCache* cache : {&contiguous, static_cast<KvCache*>(&paged)}) {
    cache->append(0, rows(2, 7, "k"), rows(2, 7, "v"));
    cache->advance(7);
    cache->reorder(Tensor::from(std::vector<int64_t>{1, 1}, {2}));
  }
  const auto want = contiguous.append(0, rows(2, 4, "more k"), rows(2, 4, "more v"));
  const auto got = paged.append(0, rows(2, 4, "more k"), rows(2, 4, "more v"));
  EXPECT_EQ(got.first.to_vector<float>(), want.first.to_vector<float>());
  EXPECT_EQ(got.second.to_vector<float>(), want.second.to_vector<float>());
}

TEST(PatternAttention, GradientsEqualCentralDifferences) {
  const Tensor x = random_tensor({1, 6, 4}, "x", DType::f64);
  const auto check = [&](const char* name, const std::string& config) {
    EXPECT_EQ(testing::gradcheck_module(name, "attention", parse_yaml(config, "test"), {{"x", x}}),
              "")
        << name;
  };
  check("softmax", "{dim: 4, heads: 2, softcap: 1.5, sink: true}");
  check("window", "{dim: 4, heads: 2, window: 3, sinks: 1}");
  check("power", "{dim: 4, heads: 2, block: 1, window: 1}");
  check("neighborhood", "{dim: 4, heads: 2, causal: false, window: 3, relative: true, axes: 1}");
  check("window_partition",
        "{dim: 4, heads: 2, causal: false, window: 4, relative: true, axes: 1}");
  check("halo", "{dim: 4, heads: 2, causal: false, block: 2, halo: 1}");
  check("halo", "{dim: 4, heads: 2, causal: false, block: 2, halo: 1, relative: true, axes: 1}");
}

TEST(PatternAttention, PaddingIsNotHeard) {
  const auto mechanism = made("{type: window, window: 4}", kBoth);
  const AttentionContext context{.lengths = Tensor::from(std::vector<int64_t>{5}, {1})};
  const auto hears = hearing(*mechanism, 8, 8, context);
  for (size_t i = 0; i < 5; ++i)
    for (size_t j = 5; j < 8; ++j) EXPECT_FALSE(hears[i][j]);
}

TEST(PatternAttention, HostsThatDoNotSuitSayWhy) {
  const auto message = [](const char* slot, const AttentionHost& host) {
    try {
      made(slot, host);
    } catch (const RequestError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message("halo", kCausal).find("both sides"), std::string::npos);
  EXPECT_NE(message("power", kBoth).find("past alone"), std::string::npos);
}

TEST(PatternAttention, OperationsCountThePairsThatExist) {
  const double projections = 2.0 * 16 * (8 * 24 + 8 * 8);
  EXPECT_EQ(made("{type: neighborhood, window: 3}", kBoth)->flops(16),
            projections + 4.0 * 16 * 9 * 8);
  EXPECT_EQ(made("{type: window, window: 4}", kCausal)->flops(16),
            projections + 4.0 * (16 * 4 - 6) * 8);
}

}  // namespace
}  // namespace heed::nn
