#include "nn/attention/routing_attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "autograd/ops/norm.h"
#include "kernels/copy/copy.h"
#include "nn/attention/registry.h"
#include "nn/models/language_model.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::decoding_distance;
using testing::gradcheck_module;
using testing::random_ids;
using testing::random_tensor;
using testing::randomise;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

/// In f64, in eval mode, with random weights and centroids.
std::unique_ptr<Module> made(const std::string& text) {
  std::unique_ptr<Module> module = find_module("routing", "attention").make(yaml(text));
  module->initialise(3);
  module->convert(DType::f64);
  randomise(*module);
  module->eval();
  return module;
}

RoutingAttention& routing(Module& module) { return dynamic_cast<RoutingAttention&>(module); }

const Tensor& weight(Module& module, const std::string& name) {
  for (const Module::NamedTensor& named : module.named_tensors())
    if (named.name == name) return *named.tensor;
  ADD_FAILURE() << name;
  return *module.named_tensors().front().tensor;
}

void set(const Tensor& tensor, const std::vector<double>& values) {
  kernels::copy(Tensor::from(values, tensor.shape()), tensor);
}

TEST(RoutingAttention, WorkedExample) {
  // q = (2,0), (0,3), (5,1), (1,2) normalise to (1,-1), (-1,1), (1,-1), (-1,1); v = 1, 2, 3, 4.
  const auto module = made("{dim: 4, heads: 1, head_dim: 2, clusters: 2, window: 2, bias: false}");
  RoutingAttention& r = routing(*module);
  const NoGrad none;
  set(weight(r, "qkv.weight"), {1, 0, 0, 0, 0, 1, 0, 0,    // q: the first two features
                                0, 0, 0, 0, 0, 0, 0, 0,    // k: not read
                                0, 0, 1, 0, 0, 0, 1, 0});  // v: the third, twice
  set(weight(r, "out.weight"), {1, 0, 0, 1, 0, 0, 0, 0});
  set(r.kmeans->centroids, {1, -1, -1, 1});
  const Tensor x =
      Tensor::from(std::vector<double>{2, 0, 1, 0, 0, 3, 2, 0, 5, 1, 3, 0, 1, 2, 4, 0}, {1, 4, 4});
  const auto y = r.forward(x, {}).to_vector<double>();
  const double wanted[] = {0.990099, 1.980198, 1.980198, 2.970297};
  for (size_t t = 0; t < 4; ++t) EXPECT_NEAR(y[4 * t], wanted[t], 2e-6) << t;
}

TEST(RoutingAttention, OneClusterOfAllIsDenseAttention) {
  for (const bool causal : {true, false}) {
    const auto module = made(fmt::format(
        "{{dim: 6, heads: 2, clusters: 1, window: 50, causal: {}, bias: false}}", causal));
    RoutingAttention& r = routing(*module);
    const NoGrad none;
    const Tensor x = random_tensor({2, 7, 6}, "x", DType::f64);
    // The definition by hand.
    const auto w = weight(r, "qkv.weight").to_vector<double>(),
               o = weight(r, "out.weight").to_vector<double>();
    const auto in = x.to_vector<double>(), found = r.forward(x, {}).to_vector<double>();
    const auto projected = [&](int64_t b, int64_t t, int64_t row) {
      double sum = 0.0;
      for (int64_t c = 0; c < 6; ++c)
        sum += w[static_cast<size_t>(row * 6 + c)] * in[static_cast<size_t>((b * 7 + t) * 6 + c)];
      return sum;
    };
    const auto vector = [&](int64_t b, int64_t t, int64_t first) {
      std::vector<double> v;
      for (int64_t c = 0; c < 3; ++c) v.push_back(projected(b, t, first + c));
      return v;
    };
    const auto unit = [](std::vector<double> v) {
      const double mean = (v[0] + v[1] + v[2]) / 3.0;
      double var = 0.0;
      for (double& value : v) value -= mean;
      for (const double value : v) var += value * value / 3.0;
      for (double& value : v) value /= std::sqrt(var + 1e-6);
      return v;
    };
    double largest = 0.0;
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t i = 0; i < 7; ++i) {
        std::vector<double> mixed;
        for (int64_t h = 0; h < 2; ++h) {
          const auto q = unit(vector(b, i, 3 * h));
          double total = 0.0;
          std::vector<double> sum(3, 0.0);
          for (int64_t j = 0; j < (causal ? i + 1 : 7); ++j) {
            const auto k = unit(vector(b, j, (causal ? 0 : 6) + 3 * h)),
                       v = vector(b, j, 12 + 3 * h);
            const double p = std::exp(q[0] * k[0] + q[1] * k[1] + q[2] * k[2]);
            total += p;
            for (size_t c = 0; c < 3; ++c) sum[c] += p * v[c];
          }
          for (const double s : sum) mixed.push_back(s / total / 1.01);
        }
        for (int64_t c = 0; c < 6; ++c) {
          double wanted = 0.0;
          for (int64_t m = 0; m < 6; ++m)
            wanted += o[static_cast<size_t>(c * 6 + m)] * mixed[static_cast<size_t>(m)];
          largest =
              std::max(largest, std::abs(wanted - found[static_cast<size_t>((b * 7 + i) * 6 + c)]));
        }
      }
    }
    EXPECT_LT(largest, 1e-10) << causal;
  }
}

TEST(RoutingAttention, GradientsAgreeWithDifferences) {
  const Inputs inputs{{"x", random_tensor({2, 7, 6}, "x", DType::f64)}};
  for (const char* config :
       {"{dim: 6, heads: 2, clusters: 2}", "{dim: 6, heads: 2, clusters: 3, window: 4}",
        "{dim: 6, heads: 2, clusters: 2, causal: false}",
        "{dim: 6, heads: 2, clusters: 2, select: own}",
        "{dim: 6, heads: 2, clusters: 2, select: own, causal: false}",
        "{dim: 12, heads: 3, clusters: 2, local_heads: 1, local_block: 2, position: rotary}",
        "{dim: 12, heads: 3, clusters: 2, window: 4, local_heads: 1, local_block: 2, relative: 2, "
        "head_matrix: true}",
        "{dim: 12, heads: 3, clusters: 2, window: 3, local_heads: 1, local_block: 2, relative: 5, "
        "select: own}",
        "{dim: 12, heads: 3, clusters: 2, local_heads: 1, local_block: 2, relative: 2, causal: "
        "false}",
        "{dim: 12, heads: 3, skip_first: 1, local_block: 2, relative: 2}"}) {
    Inputs own = inputs;
    if (yaml(config).at("dim").as_integer() == 12)
      own["x"] = random_tensor({2, 7, 12}, "x", DType::f64);
    EXPECT_EQ(gradcheck_module("routing", "attention", yaml(config), own), "") << config;
  }
}

TEST(RoutingAttention, WithoutOrderAPermutationOfTokensPermutesTheResult) {
  const auto module = made("{dim: 6, heads: 2, clusters: 3, window: 3, causal: false}");
  RoutingAttention& r = routing(*module);
  const NoGrad none;
  const Tensor x = random_tensor({1, 9, 6}, "x", DType::f64);
  const std::vector<int64_t> order = {3, 1, 8, 0, 7, 5, 2, 6, 4};
  std::vector<double> mixed;
  const auto values = x.to_vector<double>(), y = r.forward(x, {}).to_vector<double>();
  std::vector<double> wanted;
  for (const int64_t t : order) {
    mixed.insert(mixed.end(), values.begin() + 6 * t, values.begin() + 6 * t + 6);
    wanted.insert(wanted.end(), y.begin() + 6 * t, y.begin() + 6 * t + 6);
  }
  EXPECT_LT(relative_distance(r.forward(Tensor::from(mixed, {1, 9, 6}), {}),
                              Tensor::from(wanted, {1, 9, 6})),
            1e-12);
}

TEST(RoutingAttention, OwnDoesNotLookAheadAndTopDoes) {
  const auto moved = [](const char* select) {
    const auto module =
        made(fmt::format("{{dim: 8, heads: 2, clusters: 4, window: 3, select: {}}}", select));
    RoutingAttention& r = routing(*module);
    const NoGrad none;
    double largest = 0.0;  // over several last tokens
    const Tensor x = random_tensor({1, 16, 8}, "x", DType::f64);
    const Tensor y = r.forward(x, {});
    for (int other = 0; other < 8; ++other) {
      const Tensor changed = random_tensor({1, 16, 8}, "x", DType::f64);
      const auto last = random_tensor({8}, fmt::format("last {}", other), DType::f64);
      std::copy_n(last.data<double>(), 8, changed.data<double>() + 15 * 8);
      largest = std::max(largest, relative_distance(views::slice(r.forward(changed, {}), 1, 0, 15),
                                                    views::slice(y, 1, 0, 15)));
    }
    return largest;
  };
  EXPECT_LT(moved("own"), 1e-14) << "but for the order of sums: the last token has a place in the "
                                    "sorted text";
  EXPECT_GT(moved("top"), 1e-3) << "as published: a later token takes an earlier one's place";
}

TEST(RoutingAttention, DecodesAsItReads) {
  for (const char* config :
       {"{dim: 12, heads: 3, clusters: 3, window: 4, select: own}",
        "{dim: 12, heads: 3, clusters: 3, window: 4, select: own, local_heads: 1, local_block: 3, "
        "position: rotary}",
        "{dim: 12, heads: 3, clusters: 3, window: 4, select: own, local_heads: 1, local_block: 3, "
        "relative: 2, head_matrix: true}",
        "{dim: 12, heads: 3, skip_first: 1, local_block: 3, relative: 4}"}) {
    const auto module = made(config);
    KvCache cache(1, 4);
    EXPECT_LT(decoding_distance(routing(*module), random_tensor({2, 17, 12}, "x", DType::f64),
                                {1, 1, 5, 2, 1, 7}, cache),
              1e-10)
        << config;
  }
}

TEST(RoutingAttention, DecodingByTopIsThePassOverTheTextSoFar) {
  const auto module =
      made("{dim: 12, heads: 3, clusters: 3, window: 4, local_heads: 1, relative: 2}");
  RoutingAttention& r = routing(*module);
  const NoGrad none;
  const Tensor x = random_tensor({2, 11, 12}, "x", DType::f64);
  KvCache cache(1, 4);
  int64_t done = 0;
  for (const int64_t tokens : {3, 1, 5, 2}) {
    const Tensor part = r.forward(views::slice(x, 1, done, done + tokens), {.cache = &cache});
    cache.advance(tokens);
    for (int64_t t = done; t < done + tokens; ++t) {
      const Tensor whole = r.forward(views::slice(x, 1, 0, t + 1), {});
      EXPECT_LT(relative_distance(views::slice(part, 1, t - done, t - done + 1),
                                  views::slice(whole, 1, t, t + 1)),
                1e-10)
          << t;
    }
    done += tokens;
  }
}

TEST(OnlineKMeans, WithoutMemoryCentroidsAreTheMeansOfTheirMembers) {
  OnlineKMeans means({.heads = 1, .clusters = 2, .dim = 2, .decay = 0.0});
  const NoGrad none;
  set(means.centroids, {1, -1, -1, 1});
  const Tensor x = Tensor::from(std::vector<double>{3, 0, 1, -2, 0, 5, -1, 2, 2, -4}, {1, 1, 5, 2});
  const Tensor of = OnlineKMeans::members(means.scores(x));
  EXPECT_EQ(of.to_vector<int64_t>(), (std::vector<int64_t>{0, 0, 1, 1, 0}));
  means.update(x, of);
  const auto found = means.centroids.to_vector<double>();
  const double wanted[] = {2, -2, -0.5, 3.5};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(found[i], wanted[i], 1e-4);  // 1e-5 of smoothing
  EXPECT_EQ(means.counts.to_vector<float>(), (std::vector<float>{3, 2}));
}

TEST(OnlineKMeans, MovesByTheDecay) {
  OnlineKMeans means({.heads = 1, .clusters = 1, .dim = 2, .decay = 0.75});
  const NoGrad none;
  set(means.centroids, {2, -2});
  set(means.sums, {2, -2});
  const Tensor x = Tensor::from(std::vector<double>{1, 0, 3, 2}, {1, 1, 2, 2});
  means.update(x, OnlineKMeans::members(means.scores(x)));
  // N = 0.75 + 0.25 * 2, M = 0.75 (2, -2) + 0.25 (4, 2)
  EXPECT_NEAR(means.counts.to_vector<double>()[0], 1.25, 1e-6);
  EXPECT_NEAR(means.centroids.to_vector<double>()[0], 2.5 / 1.25, 1e-5);
  EXPECT_NEAR(means.centroids.to_vector<double>()[1], -1.0 / 1.25, 1e-5);
}

TEST(OnlineKMeans, KeepsTheNormIfAsked) {
  OnlineKMeans means({.heads = 2, .clusters = 3, .dim = 4, .decay = 0.5, .renormalise = true});
  const NoGrad none;
  const Tensor x = random_tensor({2, 2, 9, 4}, "x");
  means.update(x, OnlineKMeans::members(means.scores(x)));
  const auto found = means.centroids.to_vector<double>();
  for (size_t row = 0; row < 6; ++row) {
    double square = 0.0;
    for (size_t c = 0; c < 4; ++c) square += found[row * 4 + c] * found[row * 4 + c];
    EXPECT_NEAR(square, 4.0, 1e-5);
  }
}

TEST(OnlineKMeans, RanksThatAddUpMoveAsOne) {
  const Tensor x = random_tensor({4, 2, 6, 3}, "x");
  const auto start = [] {
    return std::make_unique<OnlineKMeans>(
        OnlineKMeansOptions{.heads = 2, .clusters = 3, .dim = 3, .decay = 0.9});
  };
  const NoGrad none;
  const auto whole = start();
  const Tensor scores = whole->scores(x);
  whole->update(x, OnlineKMeans::members(scores));
  // The other rank's numbers are what it would add: those of its rows.
  std::vector<double> of_other;
  const Tensor first = views::slice(x, 0, 0, 2), second = views::slice(x, 0, 2, 4);
  const auto other = start();
  other->sum_over_ranks = [&](std::span<double> numbers) {
    of_other.assign(numbers.begin(), numbers.end());
  };
  other->update(second, OnlineKMeans::members(other->scores(second)));
  const auto one = start();
  one->sum_over_ranks = [&](std::span<double> numbers) {
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] += of_other[i];
  };
  one->update(first, OnlineKMeans::members(one->scores(first)));
  EXPECT_LT(relative_distance(one->centroids, whole->centroids), 1e-6);
  EXPECT_LT(relative_distance(one->counts, whole->counts), 1e-6);
}

TEST(RoutingAttention, LearnsInTrainingAlone) {
  const auto module = find_module("routing", "attention").make(yaml("{dim: 8, heads: 2}"));
  module->initialise(3);
  RoutingAttention& r = routing(*module);
  const Tensor x = random_tensor({2, 16, 8}, "x");
  const auto before = r.kmeans->centroids.to_vector<float>();
  r.eval();
  r.forward(x, {});
  EXPECT_EQ(r.kmeans->centroids.to_vector<float>(), before);
  r.train();
  r.forward(x, {});
  EXPECT_NE(r.kmeans->centroids.to_vector<float>(), before);
  int64_t buffers = 0;
  for (const auto& named : r.named_tensors()) buffers += !named.trained;
  EXPECT_EQ(buffers, 3) << "which checkpoints hold";
}

TEST(RoutingAttention, APassComputedAgainSeesTheCentroidsThatItBeganWith) {
  // Two micro-batches go forward before the first comes back, as in a pipeline; centroids forget
  // nearly all at each, so that the later ones would make other clusters.
  const auto gradients = [](bool checkpointing) {
    const auto model = make_language_model(
        yaml(fmt::format("{{layers: 2, dim: 16, heads: 2, context: 24, checkpointing: {}, "
                         "attention: {{type: routing, clusters: 4, window: 4, decay: 0.01}}}}",
                         checkpointing)),
        37);
    model->initialise(3);
    model->train();
    std::vector<Tensor> losses;
    for (uint64_t part = 0; part < 2; ++part) {
      random_context() = {.seed = 5, .step = 3, .part = part};
      losses.push_back(model->loss(random_ids({2, 24}, 37, fmt::format("ids {}", part)),
                                   random_ids({2, 24}, 37, fmt::format("targets {}", part))));
    }
    random_context() = {};
    for (const Tensor& loss : losses) backward(loss);
    std::map<std::string, std::vector<float>> found;
    for (const auto& p : model->named_parameters())
      if (grad(*p.tensor).defined()) found[p.name] = grad(*p.tensor).to_vector<float>();
    return found;
  };
  const auto plain = gradients(false), again = gradients(true);
  EXPECT_GT(plain.size(), 10u);
  EXPECT_EQ(again, plain);
}

TEST(RoutingAttention, OperationsAreThoseOfPairsThatAreSeen) {
  const Config config = yaml("{dim: 8, heads: 2, clusters: 2, local_heads: 1, local_block: 3}");
  Config both = config;
  both.set("causal", false);
  // 7 tokens in blocks of 3, 3 and 1: 6 + (3 * 3 + 6) + (3 + 1) pairs into the past, of all blocks
  // beside each other 3 * 6 + 3 * 7 + 4; clusters of 4 tokens.
  const double rest = 2.0 * 7 * (24 * 8 + 8 * 8) + 2.0 * 7 * 2 * 4;
  EXPECT_EQ(routing(*find_module("routing", "attention").make(config)).flops(7),
            rest + 4.0 * (2 * 4 * 2.5) * 4 + 4.0 * 25 * 4);
  EXPECT_EQ(routing(*find_module("routing", "attention").make(both)).flops(7),
            rest + 4.0 * (2 * 16) * 4 + 4.0 * 43 * 4);
  // Tables of 2 and 3 places to the past and a token's own: for 8 places of clusters, 7 tokens;
  // and a 4 x 4 matrix for two heads.
  Config tables = config;
  tables.set("relative", 3);
  tables.set("head_matrix", true);
  EXPECT_EQ(routing(*find_module("routing", "attention").make(tables)).flops(7),
            rest + 4.0 * (2 * 4 * 2.5) * 4 + 4.0 * 25 * 4 + 4.0 * 8 * 4 * 4 + 4.0 * 7 * 4 * 4 +
                2.0 * 7 * 2 * 16);
}

TEST(RoutingAttention, AMistakeIsNamed) {
  const auto error = [](const std::string& config) -> std::string {
    try {
      find_module("routing", "attention").make(yaml(config));
    } catch (const RequestError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error("{dim: 8, heads: 2, local_heads: 2}"), ::testing::HasSubstr("local heads"));
  EXPECT_THAT(error("{dim: 8, heads: 2, kv_heads: 1}"), ::testing::HasSubstr("key heads"));
  EXPECT_THAT(error("{dim: 8, heads: 2, position: alibi}"), ::testing::HasSubstr("ALiBi"));
  EXPECT_THAT(error("{dim: 8, heads: 2, relative: 3, select: own, causal: false}"),
              ::testing::HasSubstr("one list"));
  const auto module = made("{dim: 8, heads: 2}");
  try {
    routing(*module).split_heads(nullptr);
    ADD_FAILURE();
  } catch (const RequestError& e) {
    EXPECT_THAT(e.what(), ::testing::HasSubstr("parallel.tensor"));
  }
}

}  // namespace
}  // namespace heed::nn
