// The published routing transformers: how many numbers they have, and what these are at first.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/nn/routing_models.h"

namespace heed::nn {
namespace {

using namespace routing_models;

TEST(RoutingPresets, HaveThePublishedParameterCounts) {
  // Of the published code's shapes, whose centroids are variables.
  const std::map<std::string, int64_t> published = {
      {"enwik8_local_cluster8k", 171805952},
      {"enwik8_local_cluster12k", 168856832},
      {"wikitext103_local_cluster4k", 332567255},
      {"pg19_local_cluster8k", 447996104},
  };
  for (const auto& [name, count] : published)
    EXPECT_EQ(RoutingTransformer(routing_transformer_preset(name)).published_count(), count)
        << name;
}

TEST(RoutingPresets, EachHasTheFormulasCount) {
  for (const std::string& name : routing_transformer_presets()) {
    const RoutingTransformerOptions o = routing_transformer_preset(name);
    const int64_t head = o.dim / o.heads, e = o.embedding_width(), table = 2 * o.relative + 1;
    const bool text = o.channels == 0;
    int64_t wanted = 0;
    for (int64_t layer = 0; layer < o.layers; ++layer) {
      const int64_t routing = layer < o.skip_first ? 0 : o.routing_heads;
      wanted += 4 * o.dim * o.dim + head * head + 4 * o.dim;
      wanted += text ? 3 * o.dim * o.hidden : 2 * o.dim * o.hidden + o.dim + o.hidden;
      if (text) wanted += 2 * table * head * (routing > 0 ? 2 : 1);
      wanted += routing * o.clusters * head;
    }
    wanted += e * o.vocab + o.vocab;
    if (text) {
      wanted += o.vocab * e + e * o.dim + o.dim + (e == o.dim ? 0 : o.dim * e + e);
    } else {
      wanted += o.vocab * o.channels * o.dim + 2 * o.width * o.channels * o.dim;
    }
    EXPECT_EQ(RoutingTransformer(o).published_count(), wanted) << name;
  }
}

TEST(RoutingPresets, StartsUniformAsPublished) {
  RoutingTransformerOptions o = small();
  o.dim = 96;
  o.embedding_dim = 64;
  o.hidden = 160;
  RoutingTransformer model(o);
  model.initialise(3);
  const auto bound = [](double rows, double columns) { return std::sqrt(1.2 / (rows + columns)); };
  const std::map<std::string, double> bounds = {
      {"embed.weight", bound(13, 64)},
      {"input.weight", bound(96, 64)},
      {"output.weight", bound(64, 96)},
      {"head.weight", bound(13, 64)},
      {"blocks.1.attn.qkv.weight", bound(96, 96)},  // three matrices in one
      {"blocks.1.attn.out.weight", bound(96, 96)},
      {"blocks.1.attn.head_matrix.weight", bound(32, 32)},
      {"blocks.1.attn.local.keys", bound(7, 32)},
      {"blocks.1.attn.by_place.values", bound(7, 32)},
      {"blocks.1.mlp.gate_up.weight", bound(160, 96)},
      {"blocks.1.mlp.down.weight", bound(96, 160)},
  };
  size_t found = 0;
  for (const auto& [name, tensor] : state_dict(model)) {
    if (!bounds.contains(name)) continue;
    ++found;
    double largest = 0.0;
    for (const double v : tensor.to_vector<double>()) largest = std::max(largest, std::abs(v));
    // Of n draws the largest lies within 20 / n of the bound, but for e^-20.
    EXPECT_LE(largest, bounds.at(name) * 1.0001) << name;
    EXPECT_GT(largest, bounds.at(name) * (1.0 - 20.0 / static_cast<double>(tensor.numel())))
        << name;
  }
  EXPECT_EQ(found, bounds.size());
}

}  // namespace
}  // namespace heed::nn
