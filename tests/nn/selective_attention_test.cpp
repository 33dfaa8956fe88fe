// Selective attention (arXiv 2411.12892) against its formulas row by row, and the laws that the
// paper derives from them.
#include "nn/attention/selective_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/views.h"
#include "nn/attention/paged_kv_cache.h"
#include "nn/attention/registry.h"
#include "nn/models/gpt.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::bitwise_equal;
using testing::random_tensor;
using testing::relative_distance;

std::unique_ptr<SelectiveAttention> made(const std::string& slot, const AttentionHost& host,
                                         bool random = true) {
  auto mechanism = std::make_unique<SelectiveAttention>(
      host, read_options<SelectiveOptions>(parse_yaml(slot, "test"), "selective"));
  mechanism->initialise(1);
  mechanism->convert(DType::f64);
  if (random) testing::randomise(*mechanism);
  return mechanism;
}

const AttentionHost kCausal{.dim = 8, .heads = 2, .kv_heads = 1, .position = "rotary"};
const AttentionHost kBoth{.dim = 8, .heads = 2, .causal = false};

const std::vector<std::string> kSlots = {
    "{}", "{key: true, value_position: true, per_head: true}",
    "{token: mlp, hidden: 3, gate: linear}",
    "{token: mlp, per_head: true, query: false, value_position: true}",
    "{token: none, value: false, gate: expexp}"};

// What the sheet's Python would say, with loops: one row of one head at a time.
std::vector<double> by_loops(SelectiveAttention& m, const Tensor& x, const SelectiveOptions& o,
                             const AttentionHost& h) {
  const int64_t n = x.size(1), dim = h.dim, width = dim / h.heads;
  std::map<std::string, std::vector<double>> w;
  for (const auto& [name, tensor] : state_dict(m)) w[name] = tensor.to_vector<double>();
  const auto xs = x.to_vector<double>();
  const auto gelu = [](double t) { return 0.5 * t * (1 + std::erf(t / std::sqrt(2.0))); };
  const auto product = [&](const std::string& name, int64_t row, const double* in, int64_t count) {
    double sum = w.contains(name + ".bias") ? w[name + ".bias"][static_cast<size_t>(row)] : 0.0;
    for (int64_t d = 0; d < count; ++d)
      sum += w[name + ".weight"][static_cast<size_t>(row * count + d)] * in[d];
    return sum;
  };
  const auto row_of = [&](int64_t i) { return xs.data() + i * dim; };
  // One head and no rotation: rows of the packed projection are q, k, v.
  const auto tau = [&](const std::string& name, int64_t part, int64_t i) {
    double f = 0.0;
    if (w.contains(name + ".weight")) {
      const bool mlp = w.contains(name + ".up.weight");
      const auto features = static_cast<int64_t>(w[name + ".weight"].size());
      f = w[name + ".bias"][0];
      for (int64_t r = 0; r < features; ++r) {
        const double in = mlp ? product(name + ".up", r, row_of(i), dim)
                              : product("qkv", part * width + r, row_of(i), dim);
        f += w[name + ".weight"][static_cast<size_t>(r)] * gelu(in);
      }
      f = std::tanh(f);
    }
    double g = 0.0;
    if (w.contains(name + ".alpha")) {
      const double a = w[name + ".alpha"][0];
      g = o.gate == "sigmoid"  ? 1 / (1 + std::exp(-a))
          : o.gate == "expexp" ? std::exp(-std::exp(a))
                               : a;
    }
    return f + 1 + g * std::log(static_cast<double>(h.causal ? i + 1 : n));
  };
  std::vector<double> out;
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> p, row(static_cast<size_t>(width), 0.0);
    double total = 0.0;
    const int64_t end = h.causal ? i + 1 : n;
    for (int64_t j = 0; j < end; ++j) {
      double logit = 0.0;
      for (int64_t d = 0; d < width; ++d)
        logit += product("qkv", d, row_of(i), dim) * product("qkv", width + d, row_of(j), dim);
      if (o.query) logit *= tau("query_temperature", 0, i);
      if (o.key) logit *= tau("key_temperature", 1, j);
      p.push_back(std::exp(logit / std::sqrt(static_cast<double>(width))));
      total += p.back();
    }
    for (int64_t j = 0; j < end; ++j) {
      const double weight =
          p[static_cast<size_t>(j)] / total * (o.value ? tau("value_temperature", 2, j) : 1.0);
      for (int64_t d = 0; d < width; ++d)
        row[static_cast<size_t>(d)] += weight * product("qkv", 2 * width + d, row_of(j), dim);
    }
    for (int64_t d = 0; d < dim; ++d) out.push_back(product("out", d, row.data(), width));
  }
  return out;
}

TEST(SelectiveAttention, EqualsItsFormulasRowByRow) {
  for (const bool causal : {true, false}) {
    const AttentionHost host{.dim = 5, .heads = 1, .causal = causal};
    for (const char* slot :
         {"{}", "{key: true, value_position: true}", "{token: mlp, hidden: 3, gate: linear}",
          "{token: none, value: false, gate: expexp}", "{query: false}"}) {
      const auto options = read_options<SelectiveOptions>(parse_yaml(slot, "test"), "selective");
      const auto mechanism = made(slot, host);
      const Tensor x = random_tensor({1, 11, 5}, "x", DType::f64);
      const Tensor got = mechanism->forward(x);
      const Tensor want = Tensor::from(by_loops(*mechanism, x, options, host), got.shape());
      EXPECT_LT(relative_distance(got, want), 1e-12) << slot << " causal " << causal;
    }
  }
}

TEST(SelectiveAttention, GradientsAgreeWithDifferences) {
  for (const std::string& slot : kSlots) {
    const std::string own =
        slot == "{}" ? "" : fmt::format(", {}", slot.substr(1, slot.size() - 2));
    for (const char* host :
         {"dim: 8, heads: 2, kv_heads: 1, position: rotary", "dim: 8, heads: 2, causal: false"}) {
      EXPECT_EQ(testing::gradcheck_module("selective", "attention",
                                          parse_yaml(fmt::format("{{{}{}}}", host, own), "test"),
                                          {{"x", random_tensor({2, 5, 8}, "x", DType::f64)}}),
                "")
          << host << own;
    }
  }
}

// tau = 1: w = b = 0, and alpha so that log n counts for nothing.
TEST(SelectiveAttention, TemperaturesOfOneAreSoftmaxAttentionBitForBit) {
  for (const AttentionHost& host : {kCausal, kBoth}) {
    const auto plain = make_attention(parse_yaml("softmax", "test"), host);
    plain->initialise(3);
    plain->convert(DType::f64);
    const auto selective = made("{gate: linear, alpha: 0}", host, false);
    load_state_dict(*selective, [&] {
      auto state = state_dict(*selective);
      for (auto& [name, tensor] : state)
        for (const auto& [own, value] : state_dict(*plain))
          if (name == own) tensor = value;
      return state;
    }());
    const Tensor x = random_tensor({2, 33, 8}, "x", DType::f64);
    // Both by head: the packed path of softmax attention sums in the same order.
    EXPECT_TRUE(bitwise_equal(selective->forward(x), plain->forward(x)));
  }
}

TEST(SelectiveAttention, TheFirstTokenKnowsNoPosition) {
  const Tensor x = random_tensor({1, 1, 8}, "x", DType::f64);
  const auto mechanism = made("{value_position: true}", kCausal);
  const Tensor before = mechanism->forward(x);
  mechanism->value_temperature->alpha = Tensor::full({1}, 9.0, DType::f64);
  EXPECT_TRUE(bitwise_equal(mechanism->forward(x), before));
}

TEST(SelectiveAttention, DecodingWithACacheEqualsTheWholePass) {
  for (const std::string& slot : kSlots) {
    const auto mechanism = made(slot, kCausal);
    mechanism->eval();
    const Tensor x = random_tensor({2, 23, 8}, "x", DType::f64);
    KvCache plain(1);
    PagedKvCache paged(1, 3);
    for (KvCache* cache : {&plain, static_cast<KvCache*>(&paged)})
      EXPECT_LT(testing::decoding_distance(*mechanism, x, {8, 1, 1, 5, 1, 7}, *cache), 1e-13)
          << slot;
  }
}

TEST(SelectiveAttention, PaddedRowsAreAsTheyAreAlone) {
  for (const std::string& slot : kSlots) {
    for (const AttentionHost& host : {kCausal, kBoth}) {
      const auto mechanism = made(slot, host);
      const Tensor x = random_tensor({2, 9, 8}, "x", DType::f64);
      const Tensor lengths = Tensor::from(std::vector<int64_t>{4, 9}, {2});
      const Tensor both = mechanism->forward(x, {.lengths = lengths});
      const Tensor alone = mechanism->forward(views::slice(views::slice(x, 0, 0, 1), 1, 0, 4));
      EXPECT_LT(relative_distance(views::slice(views::slice(both, 0, 0, 1), 1, 0, 4), alone), 1e-13)
          << slot;
    }
  }
}

// Logits (1, 0) with tau = 2 give (0.8808, 0.1192); one key of L has spikiness 1 / L, all the
// same 1.
TEST(SelectiveAttention, SpikinessOfKnownRows) {
  const double p = 1 / (1 + std::exp(-2.0));
  const Tensor rows = Tensor::from(std::vector<double>{p, 1 - p, 0.5, 0.5, 1.0, 0.0}, {3, 2});
  const std::vector<double> s = spikiness(rows).to_vector<double>();
  EXPECT_NEAR(p, 0.8808, 5e-5);
  EXPECT_NEAR(s[0], 0.6329, 5e-5);
  EXPECT_DOUBLE_EQ(s[1], 1.0);
  EXPECT_DOUBLE_EQ(s[2], 0.5);
}

Tensor temperature(const std::string& slot, double alpha, int64_t tokens) {
  const auto mechanism = made(slot, {.dim = 4, .heads = 1}, false);
  mechanism->query_temperature->alpha = Tensor::full({1}, alpha, DType::f64);
  std::vector<double> logs;
  for (int64_t n = 1; n <= tokens; ++n) logs.push_back(std::log(static_cast<double>(n)));
  const Tensor x = Tensor::zeros({1, tokens, 4}, DType::f64);
  return mechanism->query_temperature->forward(x, x, Tensor::from(logs, {tokens}));
}

TEST(SelectiveAttention, ReleasedGateAtItsFirstValue) {
  // 1 + exp(-exp(2)) log 2048, the factor of row 2048.
  const Tensor tau = temperature("{token: none, value: false, gate: expexp}", 2.0, 2048);
  EXPECT_NEAR(tau.to_vector<double>().back(), 1.00471185, 5e-9);
}

// A margin m over n - 1 equal distractors holds p = 1 / (1 + (n - 1) e^(-tau m)); with tau = 1 + c
// log n and c m = 1 it never falls below 1 / (1 + e^-m), where plain softmax's goes to 0.
TEST(SelectiveAttention, TheGateHoldsARowsProbabilityAtAnyLength) {
  const double c = 0.5, m = 2.0;
  const int64_t most = 4096;
  const std::vector<double> tau =
      temperature("{token: none, value: false, gate: linear}", c, most).to_vector<double>();
  for (int64_t n = 2; n <= most; n = 2 * n) {
    const auto held = [&](double t) {
      return 1 / (1 + static_cast<double>(n - 1) * std::exp(-t * m));
    };
    EXPECT_GE(held(tau[static_cast<size_t>(n - 1)]), 1 / (1 + std::exp(-m))) << n;
    if (n == most) {
      EXPECT_LT(held(1.0), 0.002);
    }
  }
}

// The paper's denoising: of 64 tokens under uniform attention half are a target with noise of 0.5,
// the others noise of 2, and a flag says which. Values of noise at temperature 0, of the rest at 2,
// leave 0.25 / 32 of the squared error, which is 0.25 + (32 * 0.25 + 32 * 4) / 64^2 without.
TEST(SelectiveAttention, ValueTemperaturesKeepNoiseOut) {
  const int64_t trials = 100, tokens = 64, features = 16, dim = features + 1;
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  const RandomStream stream(RandomKey{4, 2, 0});
  uint64_t next = 0;
  std::vector<double> x, targets;
  for (int64_t t = 0; t < trials; ++t) {
    for (int64_t d = 0; d < features; ++d) targets.push_back(stream.normal(next++));
    for (int64_t j = 0; j < tokens; ++j) {
      const bool signal = j % 2 == 0;
      for (int64_t d = 0; d < features; ++d) {
        const double noise = stream.normal(next++);
        x.push_back(signal ? targets[at(t * features + d)] + 0.5 * noise : 2.0 * noise);
      }
      x.push_back(signal ? 1.0 : -1.0);
    }
  }
  const auto mechanism =
      made("{query: false}", {.dim = dim, .heads = 1, .causal = false, .bias = false}, false);
  std::vector<double> qkv(at(3 * dim * dim), 0.0), out(at(dim * dim), 0.0), w(at(dim), 0.0);
  for (int64_t d = 0; d < dim; ++d) qkv[at((2 * dim + d) * dim + d)] = out[at(d * dim + d)] = 1.0;
  w.back() = 40.0;  // gelu(1) = 0.84 and gelu(-1) = -0.16, on either side of 0.34
  const auto error = [&](double bias) {
    const NoGrad none;
    load_state_dict(*mechanism, {{"qkv.weight", Tensor::from(qkv, {3 * dim, dim})},
                                 {"out.weight", Tensor::from(out, {dim, dim})},
                                 {"value_temperature.weight", Tensor::from(w, {1, dim})},
                                 {"value_temperature.bias", Tensor::from(std::vector{bias}, {1})}});
    const auto y = mechanism->forward(Tensor::from(x, {trials, tokens, dim})).to_vector<double>();
    double sum = 0.0;
    for (int64_t t = 0; t < trials; ++t)
      for (int64_t d = 0; d < features; ++d)
        sum += std::pow(y[at(t * tokens * dim + d)] - targets[at(t * features + d)], 2);
    return sum / static_cast<double>(trials * features);
  };
  // A mean of 1600 squares of normal numbers varies by sqrt(2 / 1600) of itself.
  const double five = 5 * std::sqrt(2.0 / static_cast<double>(trials * features));
  EXPECT_NEAR(error(-0.34 * 40), 0.25 / 32, five * 0.25 / 32);
  w.back() = 0.0;
  EXPECT_NEAR(error(0.0), 0.283, five * 0.283);
}

// 2 (H D + 1) + 1 for each layer, when the values' temperatures know no position; the released
// code's variant adds one number a layer.
TEST(SelectiveAttention, AddsThePapersParameters) {
  const auto added = [](const std::string& preset, const std::string& slot) {
    return Gpt(read_gpt_options(parse_yaml(
                   fmt::format("{{preset: {}, attention: {{type: selective, {}}}}}", preset, slot),
                   "test")))
               .parameter_count() -
           Gpt(read_gpt_options(parse_yaml(fmt::format("{{preset: {}}}", preset), "test")))
               .parameter_count();
  };
  EXPECT_EQ(added("pythia-160m", "value_position: true"), 18480);
  EXPECT_EQ(added("pythia-160m", "token: shared"), 18480 - 12);
  EXPECT_EQ(added("pythia-160m", "token: mlp"), 12 * (2 * (768 * 384 + 384 + 384 + 1) + 1));
  EXPECT_EQ(added("pythia-160m", "token: none, value: false, gate: expexp"), 12);
  EXPECT_EQ(added("pythia-410m", "token: none, value: false, gate: expexp"), 24);
  EXPECT_EQ(added("tinyllama-1.1b", "token: none, value: false, gate: expexp"), 22);
}

TEST(SelectiveAttention, CountsWhatItAdds) {
  const AttentionHost host{.dim = 24, .heads = 3};
  const double plain = make_attention(parse_yaml("softmax", "test"), host)->flops(17);
  EXPECT_DOUBLE_EQ(make_attention(parse_yaml("selective", "test"), host)->flops(17) - plain,
                   17.0 * 4 * 24);
}

TEST(SelectiveAttention, RefusesWhatHasNoTemperature) {
  const auto error = [](const std::string& slot) {
    try {
      make_attention(parse_yaml(slot, "test"), {.dim = 8, .heads = 2});
    } catch (const RequestError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_NE(error("{type: selective, query: false, value: false}").find("without any"),
            std::string::npos);
  EXPECT_NE(error("{type: selective, token: none}").find("value: false"), std::string::npos);
}

}  // namespace
}  // namespace heed::nn
