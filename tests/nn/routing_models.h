// Small routing transformers, with which the tests of all its parts are made.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nn/models/routing_transformer.h"
#include "tests/nn/support.h"

namespace heed::nn::routing_models {

/// Embeddings of another width, a layer without routing, distances beyond the reach of the tables.
inline RoutingTransformerOptions small() {
  RoutingTransformerOptions o;
  o.vocab = 13;
  o.context = 11;
  o.layers = 3;
  o.dim = 12;
  o.embedding_dim = 8;
  o.heads = 3;
  o.routing_heads = 2;
  o.skip_first = 1;
  o.clusters = 3;
  o.window = 5;
  o.block = 3;
  o.relative = 3;
  o.hidden = 10;
  return o;
}

/// The same of pixels in three channels.
inline RoutingTransformerOptions small_image() {
  RoutingTransformerOptions o = small();
  o.embedding_dim = 0;
  o.channels = 3;
  o.width = 2;
  o.context = 12;
  o.relative = 0;
  o.mlp = "relu";
  return o;
}

/// In eval mode, with random weights and centroids.
inline std::unique_ptr<RoutingTransformer> made(const RoutingTransformerOptions& options,
                                                DType dtype = DType::f64) {
  auto model = std::make_unique<RoutingTransformer>(options);
  model->initialise(7);
  model->convert(dtype);
  testing::randomise(*model);
  model->eval();
  return model;
}

/// Every kind of input and selection, and one without a routing head.
inline std::vector<std::pair<std::string, RoutingTransformerOptions>> kinds() {
  std::vector<std::pair<std::string, RoutingTransformerOptions>> all;
  for (const char* select : {"top", "own"}) {
    RoutingTransformerOptions text = small(), image = small_image();
    text.select = image.select = select;
    all.emplace_back(fmt::format("text {}", select), text);
    all.emplace_back(fmt::format("image {}", select), image);
  }
  RoutingTransformerOptions local = small();
  local.routing_heads = 0;
  local.embedding_dim = 0;
  all.emplace_back("local", local);
  return all;
}

}  // namespace heed::nn::routing_models
