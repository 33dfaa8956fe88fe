// Layers whose matrices ranks share.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops/view.h"
#include "nn/layers/conv_mlp.h"
#include "nn/layers/embedding.h"
#include "nn/layers/low_rank.h"
#include "nn/layers/mlp.h"
#include "nn/layers/swiglu.h"
#include "tests/core/raises.h"
#include "tests/distributed/split_modules.h"

namespace heed {
namespace {

using testing::expect_like_whole;
using ::testing::HasSubstr;
using testing::integers;
using testing::normal;
using testing::split_of_world;

std::function<Tensor(const Tensor&)> part_of(std::vector<int64_t> groups) {
  return [groups](const Tensor& y) {
    return nn::shard_of(y, split_of_world()->shard(y.rank() - 1, groups));
  };
}

TEST(SplitLayers, LinearByColumnsAndByRows) {
  for (const bool lora : {false, true}) {
    for (const Activation activation : {Activation::none, Activation::gelu}) {
      const auto make = [&] {
        auto layer = std::make_unique<nn::Linear>(7, 13);
        if (lora) layer->adapt({.rank = 3, .alpha = 6.0, .dropout = 0.3});
        return layer;
      };
      const std::function<Tensor(nn::Linear&, const Tensor&)> run =
          [&](nn::Linear& layer, const Tensor& x) { return layer.forward(x, activation); };
      const Tensor x = normal({2, 3, 7}, "x");
      expect_like_whole<nn::Linear>(
          make,
          [](nn::Linear& layer) {
            layer.split_columns(split_of_world(), {5, 8});
          },
          x, run, part_of({5, 8}));
      // The input's part is what the layer before would give.
      const std::function<Tensor(nn::Linear&, const Tensor&)> run_rows = [&](nn::Linear& layer,
                                                                             const Tensor& in) {
        const bool whole = layer.weight.size(1) == in.size(-1);
        const int64_t first = split_of_world()->first(7);
        return layer.forward(whole ? in : slice(in, -1, first, first + layer.weight.size(1)),
                             activation);
      };
      expect_like_whole<nn::Linear>(
          make, [](nn::Linear& layer) { layer.split_rows(split_of_world()); }, x, run_rows);
    }
  }
}

TEST(SplitLayers, SplitLinearRefusesASecondSplitAndLateUpdates) {
  nn::Linear layer(8, 8);
  layer.split_columns(split_of_world());
  EXPECT_THROW(layer.split_rows(split_of_world()), Error);
  EXPECT_THROW(layer.adapt({}), Error);
  nn::Linear small(8, 1);
  EXPECT_THAT(request_error([&] { small.split_columns(split_of_world()); }),
              HasSubstr("cannot share 1"));
}

TEST(SplitLayers, EmbeddingByVocabulary) {
  for (const int64_t vocab : {12, 13}) {
    expect_like_whole<nn::Embedding>(
        [&] { return std::make_unique<nn::Embedding>(vocab, 5); },
        [](nn::Embedding& embed) { embed.split_rows(split_of_world()); },
        integers({3, 7}, vocab, "ids"),
        [](nn::Embedding& embed, const Tensor& ids) { return embed(ids); });
  }
  nn::Embedding embed(13, 5);
  embed.split_rows(split_of_world());
  EXPECT_THROW(embed(Tensor::full({1}, 13, DType::i64)), Error);
}

TEST(SplitLayers, FeedForwardLayersWithDropout) {
  for (const char* kind : {"gelu", "swiglu"}) {
    for (const int64_t hidden : {24, 25}) {
      expect_like_whole<nn::FeedForward>(
          [&] { return nn::make_feed_forward(kind, 6, hidden, true, 0.4); },
          [](nn::FeedForward& layer) { layer.split_hidden(split_of_world()); },
          normal({2, 5, 6}, "x"),
          [](nn::FeedForward& layer, const Tensor& x) { return layer.forward(x); });
    }
  }
}

TEST(SplitLayers, FeedForwardLayersWithAConvolution) {
  for (const bool residual : {false, true}) {
    nn::ConvMlpOptions o;
    o.dim = 6;
    o.hidden = 25;
    o.dropout = 0.4;
    o.residual = residual;
    expect_like_whole<nn::FeedForward>(
        [&] { return std::make_unique<nn::ConvMlp>(o); },
        [](nn::FeedForward& layer) { layer.split_hidden(split_of_world()); },
        normal({2, 3, 4, 6}, "x"),
        [](nn::FeedForward& layer, const Tensor& x) { return layer.forward(x); });
  }
}

}  // namespace
}  // namespace heed
