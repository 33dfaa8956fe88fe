// The options of `routing_transformer`, and the published models as presets.
#include <map>

#include "nn/models/presets.h"
#include "nn/models/routing_transformer.h"

namespace heed::nn {
namespace {

// sparse_transformer.py. All but the vocabulary, which is the data's: bytes, WikiText-103's words,
// and for PG-19 an assumed 32,768 pieces.
RoutingTransformerOptions enwik8(int64_t context, int64_t block) {
  RoutingTransformerOptions o;
  o.vocab = 256;
  o.context = context;
  o.layers = 22;
  o.dim = 1024;
  o.hidden = 3072;
  o.heads = 8;
  o.routing_heads = 0;
  o.block = block;
  o.relative = 2 * block + 1;
  o.attention_dropout = 0.4;
  o.mlp_dropout = 0.4;
  return o;
}

RoutingTransformerOptions routed(RoutingTransformerOptions o, int64_t heads, int64_t clusters,
                                 int64_t window) {
  o.routing_heads = heads;
  o.clusters = clusters;
  o.window = window;
  return o;
}

RoutingTransformerOptions enwik8_routed(int64_t context, int64_t block, int64_t clusters,
                                        int64_t window) {
  RoutingTransformerOptions o = routed(enwik8(context, block), 4, clusters, window);
  o.layers = 12;
  o.attention_dropout = o.mlp_dropout = 0.0;
  return o;
}

RoutingTransformerOptions wikitext103() {
  RoutingTransformerOptions o = enwik8(4096, 256);
  o.vocab = 267735;
  o.layers = 14;
  o.embedding_dim = 256;
  o.heads = 16;
  o.embedding_dropout = 0.4;
  o.token_dropout = 0.25;
  return o;
}

RoutingTransformerOptions wikitext103_1k() {
  RoutingTransformerOptions o = routed(wikitext103(), 8, 2, 512);
  o.context = 1024;
  o.layers = 20;
  o.token_dropout = 0.2;
  return o;
}

RoutingTransformerOptions pg19() {
  RoutingTransformerOptions o = enwik8(8192, 256);
  o.vocab = 32768;
  o.layers = 24;
  o.dim = 1032;
  o.hidden = 4096;
  o.attention_dropout = o.mlp_dropout = 0.0;
  return o;
}

RoutingTransformerOptions pg19_routed() {
  RoutingTransformerOptions o = routed(pg19(), 2, 16, 512);
  o.layers = 22;
  o.skip_first = 21;
  return o;
}

// sparse_image_transformer.py: no relative vectors, ReLU.
RoutingTransformerOptions image(int64_t side, int64_t channels, int64_t layers, int64_t dim,
                                int64_t heads, int64_t block) {
  RoutingTransformerOptions o;
  o.vocab = 256;
  o.context = side * side * channels;
  o.width = side;
  o.channels = channels;
  o.layers = layers;
  o.dim = dim;
  o.mlp = "relu";
  o.hidden = 2048;
  o.heads = heads;
  o.routing_heads = 0;
  o.block = block;
  o.relative = 0;
  o.dropout = 0.3;
  return o;
}

const std::map<std::string, RoutingTransformerOptions>& presets() {
  static const std::map<std::string, RoutingTransformerOptions> all = {
      {"enwik8_local8k", enwik8(8192, 256)},
      {"enwik8_local_cluster8k", enwik8_routed(8192, 256, 16, 512)},
      {"enwik8_local12k", enwik8(12288, 128)},
      {"enwik8_local_cluster12k", enwik8_routed(12288, 128, 48, 256)},
      {"wikitext103_local4k", wikitext103()},
      {"wikitext103_local_cluster4k", routed(wikitext103(), 8, 8, 512)},
      {"wikitext103_local_cluster1k", wikitext103_1k()},
      {"pg19_local8k", pg19()},
      {"pg19_local_cluster8k", pg19_routed()},
      {"mnist_local1d", image(28, 1, 12, 512, 4, 56)},
      {"mnist_cluster_local", routed(image(28, 1, 12, 512, 4, 56), 2, 7, 112)},
      {"cifar10_local1d", image(32, 3, 12, 1024, 8, 256)},
      {"cifar10_local_cluster", routed(image(32, 3, 12, 1024, 8, 256), 4, 6, 512)},
      {"imagenet_local1d", image(64, 3, 24, 1024, 16, 256)},
      {"imagenet_local_cluster", routed(image(64, 3, 24, 1024, 16, 256), 4, 8, 2048)},
  };
  return all;
}

}  // namespace

void RoutingTransformerOptions::options(Options& o) {
  o.field("preset", preset, "a published model's configuration, which the other keys change",
          {.one_of = routing_transformer_presets()});
  o.field("vocab", vocab, "number of token ids; 0 takes the tokenizer's", {.min = 0});
  o.field("context", context, "tokens in a training sequence; of images: all of them", {.min = 1});
  o.field("layers", layers, "blocks", {.min = 1});
  o.field("dim", dim, "width of the residual stream", {.min = 1});
  o.field("embedding_dim", embedding_dim,
          "features of embeddings, and of what the head reads; 0 means dim", {.min = 0});
  o.field("heads", heads, "attention heads, of both kinds together", {.min = 1});
  o.field("routing_heads", routing_heads,
          "heads, the first ones, that route by content; the others see near blocks", {.min = 0});
  o.field("skip_first", skip_first, "layers, the first ones, whose heads all see near blocks",
          {.min = 0});
  o.field("clusters", clusters, "clusters of a routing head", {.min = 1});
  o.field("window", window, "tokens of a cluster; 0: the tokens over the clusters, rounded up",
          {.min = 0});
  o.field("block", block, "tokens of a near block; a query sees its own and the one before",
          {.min = 1});
  o.field("relative", relative,
          "reach of the learned vectors by distance, beside keys and values; 0: none", {.min = 0});
  o.field("select", select,
          "top: a cluster's best tokens, which later ones may push out; own: the last earlier "
          "members of a token's own cluster, without a look ahead",
          {.one_of = {"top", "own"}});
  o.field("mlp", mlp, "feed-forward layer: gated without biases, or around an activation with",
          {.one_of = {"geglu", "swiglu", "relu", "gelu", "gelu_tanh", "silu"}});
  o.field("hidden", hidden, "its hidden features; 0 means 3 x dim", {.min = 0});
  o.field("channels", channels,
          "images: channels of a pixel, each value a token, row by row; 0: text", {.min = 0});
  o.field("width", width, "images: pixels of a row", {.min = 0});
  o.field("dropout", dropout, "dropout before the first block and of what branches add",
          {.min = 0, .below = 1});
  o.field("embedding_dropout", embedding_dropout, "dropout after the embedding",
          {.min = 0, .below = 1});
  o.field("token_dropout", token_dropout, "share of the inputs that training replaces by id 0",
          {.min = 0, .below = 1});
  o.field("attention_dropout", attention_dropout, "dropout of attention probabilities",
          {.min = 0, .below = 1});
  o.field("mlp_dropout", mlp_dropout, "dropout of the feed-forward layer's hidden features",
          {.min = 0, .below = 1});
  o.field("decay", decay, "share that the centroids keep at each step", {.min = 0, .max = 1});
  o.field("start", start, "what a centroid counts at first: one member, or zero, as published",
          {.one_of = {"one", "zero"}});
  o.field("commitment", commitment,
          "weight of the mean squared distance to the centroids in the loss, of each layer",
          {.min = 0});
  o.field("norm_eps", norm_eps, "added to the variance", {.above = 0});
  o.field("checkpointing", checkpointing,
          "recompute each block in the backward pass instead of keeping its activations");
  o.check(heads < 1 || dim % heads == 0, "heads",
          fmt::format("heads ({}) must divide dim ({})", heads, dim));
  o.check(routing_heads <= heads, "routing_heads",
          fmt::format("routing_heads ({}) are more than all heads ({})", routing_heads, heads));
  o.check(channels == 0 || (width > 0 && context % (width * channels) == 0), "width",
          fmt::format("an image of {} tokens is not made of rows of {} pixels with {} channels",
                      context, width, channels));
  o.check(channels == 0 || embedding_dim == 0 || embedding_dim == dim, "embedding_dim",
          "images have embeddings of dim features");
}

Config RoutingTransformerOptions::attention() const {
  return Config(Config::Map{{"type", "routing"},
                            {"clusters", clusters},
                            {"window", window},
                            {"select", select},
                            {"local_heads", heads - routing_heads},
                            {"local_block", block},
                            {"skip_first", routing_heads == 0 ? layers : skip_first},
                            {"relative", relative},
                            {"head_matrix", true},
                            {"decay", decay},
                            {"start", start},
                            {"commitment", commitment}});
}

std::vector<std::string> routing_transformer_presets() { return preset_names(presets()); }

RoutingTransformerOptions routing_transformer_preset(const std::string& name) {
  const auto it = presets().find(name);
  if (it == presets().end()) {
    fail_request("unknown preset '{}'{}", name, did_you_mean(name, routing_transformer_presets()));
  }
  RoutingTransformerOptions options = it->second;
  options.preset = name;
  return options;
}

RoutingTransformerOptions read_routing_transformer_options(const Config& config) {
  return read_with_preset(config, "model routing_transformer", presets());
}

}  // namespace heed::nn
