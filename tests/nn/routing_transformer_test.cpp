#include "nn/models/routing_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/views.h"
#include "tests/nn/routing_models.h"
#include "tests/nn/routing_reference.h"

namespace heed::nn {
namespace {

using namespace routing_models;
using testing::gradcheck_module;
using ::testing::HasSubstr;
using testing::random_ids;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

TEST(RoutingTransformer, IsTheModelByLoops) {
  for (const auto& [name, options] : kinds()) {
    const auto model = made(options);
    const Reference reference(*model, options);
    const NoGrad none;
    const Tensor ids = random_ids({2, options.context}, options.vocab, "ids");
    const std::vector<int64_t> all = ids.to_vector<int64_t>();
    std::vector<double> wanted;
    for (int64_t b = 0; b < 2; ++b) {
      const auto from = all.begin() + b * options.context;
      for (const auto& row : reference.logits({from, from + options.context}))
        wanted.insert(wanted.end(), row.begin(), row.end());
    }
    EXPECT_LT(relative_distance(model->forward(ids),
                                Tensor::from(wanted, {2, options.context, options.vocab})),
              1e-10)
        << name;
  }
}

TEST(RoutingTransformer, GradientsAgreeWithDifferences) {
  for (const char* config :
       {"{vocab: 7, layers: 2, dim: 6, embedding_dim: 4, heads: 3, routing_heads: 2, clusters: 2, "
        "window: 3, block: 2, relative: 2, hidden: 5, skip_first: 1, commitment: 0.3}",
        "{vocab: 7, layers: 1, dim: 6, heads: 2, routing_heads: 1, clusters: 2, window: 3, block: "
        "2, relative: 4, hidden: 5, select: own, commitment: 0.3}",
        "{vocab: 5, layers: 1, dim: 6, heads: 2, routing_heads: 1, clusters: 2, window: 3, block: "
        "2, relative: 0, hidden: 5, mlp: relu, channels: 3, width: 1, context: 6}"}) {
    const int64_t vocab = yaml(config).at("vocab").as_integer();
    const Inputs inputs{{"ids", random_ids({2, 6}, vocab, "ids")},
                        {"targets", random_ids({2, 6}, vocab, "targets")}};
    EXPECT_EQ(gradcheck_module("routing_transformer", "model", yaml(config), inputs), "") << config;
  }
}

TEST(RoutingTransformer, DecodesAsItReads) {
  for (auto [name, options] : kinds()) {
    const bool exact = options.select == "own" || options.routing_heads == 0;
    const auto model = made(options);
    const NoGrad none;
    const int64_t tokens = options.context;
    const Tensor ids = random_ids({2, tokens}, options.vocab, "ids");
    const Tensor whole = model->forward(ids);
    const auto state = model->start();
    int64_t done = 0;
    for (const int64_t step : {int64_t{3}, int64_t{1}, int64_t{5}, tokens - 9}) {
      const Tensor found = model->decode(views::slice(ids, 1, done, done + step), *state);
      done += step;
      // Without a look ahead the states before are those of any longer text. With `top` they are
      // of the texts that they ended: only a first layer that routes equals the pass so far.
      if (exact) {
        const Tensor wanted = views::select(whole, 1, done - 1);
        EXPECT_LT(relative_distance(found, wanted), 1e-10) << name << " after " << done;
      }
    }
  }
  RoutingTransformerOptions one = small();
  one.layers = 1;
  one.skip_first = 0;
  const auto model = made(one);
  const NoGrad none;
  const Tensor ids = random_ids({2, 9}, one.vocab, "ids");
  const auto state = model->start();
  for (int64_t t = 0; t < 9; ++t) {
    const Tensor found = model->decode(views::slice(ids, 1, t, t + 1), *state);
    const Tensor wanted = views::select(model->forward(views::slice(ids, 1, 0, t + 1)), 1, t);
    EXPECT_LT(relative_distance(found, wanted), 1e-10) << t;
  }
}

TEST(RoutingTransformer, ALaterTokenChangesEarlierLogitsWithTopAlone) {
  for (const char* select : {"top", "own"}) {
    RoutingTransformerOptions options = small();
    options.select = select;
    options.window = 2;
    const auto model = made(options);
    const NoGrad none;
    const Tensor ids = random_ids({1, 11}, options.vocab, "ids");
    const Tensor before = views::slice(model->forward(ids), 1, 0, 10);
    double largest = 0.0;
    for (int64_t last = 0; last < options.vocab; ++last) {
      ids.data<int64_t>()[10] = last;
      largest =
          std::max(largest, relative_distance(views::slice(model->forward(ids), 1, 0, 10), before));
    }
    if (options.select == "top") {
      EXPECT_GT(largest, 1e-3);
    } else {
      EXPECT_LT(largest, 1e-12);
    }
  }
}

TEST(RoutingTransformer, AMistakeIsNamed) {
  const auto error = [](const std::string& config) -> std::string {
    try {
      find_module("routing_transformer", "model").make(yaml(config));
    } catch (const RequestError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error("{preset: enwik8_local_cluster8}"), HasSubstr("enwik8_local_cluster8k"));
  EXPECT_THAT(error("{layers: 1}"), HasSubstr("vocab"));
  EXPECT_THAT(error("{vocab: 5, heads: 2, routing_heads: 3}"), HasSubstr("routing_heads"));
  EXPECT_THAT(error("{vocab: 5, channels: 3, context: 100, width: 4}"), HasSubstr("rows of 4"));
  EXPECT_THAT(error("{vocab: 5, dim: 30, heads: 4}"), HasSubstr("divide"));
  const auto image = made(small_image());
  EXPECT_THROW(image->forward(random_ids({1, 13}, 13, "ids")), Error);
}

}  // namespace
}  // namespace heed::nn
