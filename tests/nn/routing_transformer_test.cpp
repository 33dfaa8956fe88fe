#include "nn/models/routing_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "autograd/checkpoint.h"
#include "autograd/ops/loss.h"
#include "core/views.h"
#include "nn/attention/routing_attention.h"
#include "nn/extra_losses.h"
#include "tests/nn/support.h"

namespace heed::nn {
namespace {

using testing::gradcheck_module;
using ::testing::HasSubstr;
using testing::random_ids;
using testing::random_tensor;
using testing::randomise;
using testing::relative_distance;

Config yaml(const std::string& text) { return parse_yaml(text, "test.yaml"); }

/// Embeddings of another width, a layer without routing, distances beyond the reach of the tables.
RoutingTransformerOptions small() {
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

RoutingTransformerOptions small_image() {
  RoutingTransformerOptions o = small();
  o.embedding_dim = 0;
  o.channels = 3;
  o.width = 2;
  o.context = 12;
  o.relative = 0;
  o.mlp = "relu";
  return o;
}

std::unique_ptr<RoutingTransformer> made(const RoutingTransformerOptions& options,
                                         DType dtype = DType::f64) {
  auto model = std::make_unique<RoutingTransformer>(options);
  model->initialise(7);
  model->convert(dtype);
  randomise(*model);
  model->eval();
  return model;
}

// --- Parameter counts ---

TEST(RoutingTransformer, PresetsHaveThePublishedParameterCounts) {
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

TEST(RoutingTransformer, EveryPresetHasTheFormulasCount) {
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

TEST(RoutingTransformer, StartsUniformAsPublished) {
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

// --- The model by loops ---

using Rows = std::vector<std::vector<double>>;

class Reference {
 public:
  Reference(RoutingTransformer& model, const RoutingTransformerOptions& options) : o_(options) {
    for (const auto& [name, tensor] : state_dict(model)) w_[name] = tensor.to_vector<double>();
  }

  /// Logits of one row of ids.
  Rows logits(const std::vector<int64_t>& ids) const {
    Rows x = o_.channels > 0 ? pixels(ids) : words(ids);
    for (int64_t layer = 0; layer < o_.layers; ++layer) {
      const std::string block = fmt::format("blocks.{}.", layer);
      x = normed(plus(x, attention(x, layer, block + "attn.")), block + "norm1.");
      x = normed(plus(x, feed_forward(x, block + "mlp.")), block + "norm2.");
    }
    if (w_.contains("output.weight")) x = linear(x, "output.");
    return linear(x, "head.");
  }

 private:
  const std::vector<double>& at(const std::string& name) const { return w_.at(name); }

  std::vector<double> row(const std::string& name, int64_t i, int64_t width) const {
    const auto& all = at(name);
    return {all.begin() + i * width, all.begin() + (i + 1) * width};
  }

  Rows words(const std::vector<int64_t>& ids) const {
    Rows x;
    for (const int64_t id : ids) x.push_back(row("embed.weight", id, o_.embedding_width()));
    return linear(x, "input.");
  }

  Rows pixels(const std::vector<int64_t>& ids) const {
    Rows x;
    for (size_t p = 0; p < ids.size(); ++p) {
      const auto at = static_cast<int64_t>(p);
      const int64_t channel = at % o_.channels, pixel = at / o_.channels;
      std::vector<double> v = row("embed.weight", channel * o_.vocab + ids[p], o_.dim);
      const auto down = row("rows.weight", pixel / o_.width * o_.channels + channel, o_.dim),
                 across = row("columns.weight", pixel % o_.width * o_.channels + channel, o_.dim);
      for (size_t c = 0; c < v.size(); ++c)
        v[c] = v[c] * std::sqrt(static_cast<double>(o_.dim)) + down[c] + across[c];
      x.push_back(v);
    }
    return x;
  }

  static Rows plus(Rows a, const Rows& b) {
    for (size_t i = 0; i < a.size(); ++i)
      for (size_t c = 0; c < a[i].size(); ++c) a[i][c] += b[i][c];
    return a;
  }

  Rows linear(const Rows& x, const std::string& prefix) const {
    const auto& weight = at(prefix + "weight");
    const auto bias = w_.find(prefix + "bias");
    Rows y;
    for (const auto& in : x) {
      const size_t outs = weight.size() / in.size();
      std::vector<double> out(outs, 0.0);
      for (size_t r = 0; r < outs; ++r) {
        if (bias != w_.end()) out[r] = bias->second[r];
        for (size_t c = 0; c < in.size(); ++c) out[r] += weight[r * in.size() + c] * in[c];
      }
      y.push_back(out);
    }
    return y;
  }

  static std::vector<double> unit(std::vector<double> v, double eps) {
    double mean = 0.0, variance = 0.0;
    for (const double a : v) mean += a / static_cast<double>(v.size());
    for (const double a : v) variance += (a - mean) * (a - mean) / static_cast<double>(v.size());
    for (double& a : v) a = (a - mean) / std::sqrt(variance + eps);
    return v;
  }

  Rows normed(Rows x, const std::string& prefix) const {
    for (auto& v : x) {
      v = unit(v, o_.norm_eps);
      for (size_t c = 0; c < v.size(); ++c)
        v[c] = v[c] * at(prefix + "weight")[c] + at(prefix + "bias")[c];
    }
    return x;
  }

  Rows feed_forward(const Rows& x, const std::string& prefix) const {
    if (o_.mlp == "relu") {
      Rows hidden = linear(x, prefix + "up.");
      for (auto& v : hidden)
        for (double& a : v) a = std::max(a, 0.0);
      return linear(hidden, prefix + "down.");
    }
    Rows hidden;
    for (const auto& v : linear(x, prefix + "gate_up.")) {
      std::vector<double> h;
      const size_t half = v.size() / 2;
      for (size_t c = 0; c < half; ++c) {
        const double g = v[c];
        const double gelu =
            0.5 * g * (1.0 + std::tanh(std::sqrt(2.0 / M_PI) * (g + 0.044715 * g * g * g)));
        h.push_back(gelu * v[half + c]);
      }
      hidden.push_back(h);
    }
    return linear(hidden, prefix + "down.");
  }

  /// What query i, standing at rank `mine`, gets of keys at their ranks; tables of no name: none.
  std::vector<double> seen(const std::vector<double>& q, const Rows& k, const Rows& v,
                           const std::vector<std::pair<size_t, int64_t>>& keys, int64_t mine,
                           double scale, const std::string& tables) const {
    const auto dim = static_cast<int64_t>(q.size());
    std::vector<double> sum(q.size(), 0.0);
    double total = 0.0;
    for (const auto& [j, rank] : keys) {
      std::vector<double> key = k[j], value = v[j];
      if (o_.relative > 0) {
        const int64_t d = std::clamp<int64_t>(rank - mine, -o_.relative, o_.relative) + o_.relative;
        const auto rk = row(tables + "keys", d, dim), rv = row(tables + "values", d, dim);
        for (size_t c = 0; c < q.size(); ++c) {
          key[c] += rk[c];
          value[c] += rv[c];
        }
      }
      const double e = std::exp(scale * std::inner_product(q.begin(), q.end(), key.begin(), 0.0));
      total += e;
      for (size_t c = 0; c < q.size(); ++c) sum[c] += e * value[c];
    }
    for (double& s : sum) s /= total;
    return sum;
  }

  Rows local_head(const Rows& q, const Rows& k, const Rows& v, const std::string& prefix) const {
    const auto block = static_cast<size_t>(o_.block);
    Rows out;
    for (size_t i = 0; i < q.size(); ++i) {
      std::vector<std::pair<size_t, int64_t>> keys;
      for (size_t j = 0; j <= i; ++j)
        if (j / block + 1 >= i / block) keys.emplace_back(j, static_cast<int64_t>(j));
      const double scale = 1.0 / std::sqrt(static_cast<double>(q[i].size()));
      out.push_back(seen(q[i], k, v, keys, static_cast<int64_t>(i), scale, prefix + "local."));
    }
    return out;
  }

  Rows routing_head(Rows q, const Rows& v, int64_t head, const std::string& prefix) const {
    const size_t tokens = q.size(), dim = q[0].size();
    const size_t width = std::min(tokens, static_cast<size_t>(o_.window));
    for (auto& one : q) one = unit(one, 1e-6);
    Rows score;  // [K][N]
    for (int64_t c = 0; c < o_.clusters; ++c) {
      const auto mean =
          row(prefix + "kmeans.centroids", head * o_.clusters + c, static_cast<int64_t>(dim));
      score.emplace_back();
      for (const auto& one : q)
        score.back().push_back(std::inner_product(one.begin(), one.end(), mean.begin(), 0.0));
    }
    Rows out(tokens, std::vector<double>(dim, 0.0));
    std::vector<double> times(tokens, 0.0);
    for (const auto& of_cluster : score) {
      std::vector<size_t> list(tokens);
      std::iota(list.begin(), list.end(), 0);
      if (o_.select == "top") {
        std::stable_sort(list.begin(), list.end(),
                         [&](size_t a, size_t b) { return of_cluster[a] > of_cluster[b]; });
        list.resize(width);
        std::sort(list.begin(), list.end());
      } else {
        std::erase_if(list, [&](size_t t) {
          for (const auto& other : score)
            if (other[t] > of_cluster[t]) return true;
          return false;
        });
      }
      for (size_t i = 0; i < list.size(); ++i) {
        std::vector<std::pair<size_t, int64_t>> keys;
        for (size_t j = o_.select == "top" || i < width ? 0 : i + 1 - width; j <= i; ++j)
          keys.emplace_back(list[j], static_cast<int64_t>(j));
        const auto found =
            seen(q[list[i]], q, v, keys, static_cast<int64_t>(i), 1.0, prefix + "by_place.");
        times[list[i]] += 1.0;
        for (size_t c = 0; c < dim; ++c) out[list[i]][c] += found[c];
      }
    }
    for (size_t t = 0; t < tokens; ++t)
      for (double& a : out[t]) a /= o_.select == "top" ? times[t] + 0.01 : 1.0;
    return out;
  }

  Rows attention(const Rows& x, int64_t layer, const std::string& prefix) const {
    const auto heads = static_cast<size_t>(o_.heads), dim = static_cast<size_t>(o_.dim) / heads;
    const Rows projected = linear(x, prefix + "qkv.");
    Rows joined(x.size());
    for (size_t h = 0; h < heads; ++h) {
      const auto part = [&](size_t which) {
        Rows rows;
        for (const auto& v : projected) {
          const auto from = v.begin() + static_cast<std::ptrdiff_t>((which * heads + h) * dim);
          rows.emplace_back(from, from + static_cast<std::ptrdiff_t>(dim));
        }
        return rows;
      };
      const bool routes = layer >= o_.skip_first && h < static_cast<size_t>(o_.routing_heads);
      const Rows y = linear(routes ? routing_head(part(0), part(2), static_cast<int64_t>(h), prefix)
                                   : local_head(part(0), part(1), part(2), prefix),
                            prefix + "head_matrix.");
      for (size_t t = 0; t < x.size(); ++t)
        joined[t].insert(joined[t].end(), y[t].begin(), y[t].end());
    }
    return linear(joined, prefix + "out.");
  }

  RoutingTransformerOptions o_;
  std::map<std::string, std::vector<double>> w_;
};

std::vector<std::pair<std::string, RoutingTransformerOptions>> kinds() {
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

TEST(RoutingTransformer, TheLossHasTheCommitmentOfItsRoutingLayers) {
  RoutingTransformerOptions options = small();
  options.commitment = 0.0;
  const auto model = made(options);
  options.commitment = 0.5;
  const auto committed = made(options);
  const Tensor ids = random_ids({2, 11}, options.vocab, "ids"),
               targets = random_ids({2, 11}, options.vocab, "targets");
  const NoGrad none;
  const double plain = model->loss(ids, targets).item();
  const double rows = cross_entropy(model->forward(ids), targets).item();
  EXPECT_NEAR(plain, rows, 1e-10 * rows);
  const ExtraLosses own;
  committed->loss_rows(ids, targets);
  ASSERT_TRUE(own.sum().defined());
  EXPECT_NEAR(committed->loss(ids, targets).item(), plain + own.sum().item(), 1e-9);
  EXPECT_GT(own.sum().item(), 0.0);
}

TEST(RoutingTransformer, CommitmentDrawsVectorsToTheirCentroids) {
  // One layer of one head by itself: 2 * 0.5 * mean (q^ - its centroid)^2.
  const auto module = find_module("routing", "attention")
                          .make(yaml("{dim: 4, heads: 1, clusters: 3, commitment: 0.5}"));
  module->initialise(3);
  module->convert(DType::f64);
  module->eval();
  auto& r = dynamic_cast<RoutingAttention&>(*module);
  const Tensor x = random_tensor({2, 5, 4}, "x", DType::f64);
  const ExtraLosses own;
  r.forward(x, {});
  const auto weight = r.named_parameters()[0].tensor->to_vector<double>(),
             in = x.to_vector<double>(), means = r.kmeans->centroids.to_vector<double>();
  double sum = 0.0;
  for (size_t t = 0; t < 10; ++t) {
    std::vector<double> q(4, 0.0);
    for (size_t row = 0; row < 4; ++row)
      for (size_t c = 0; c < 4; ++c) q[row] += weight[row * 4 + c] * in[t * 4 + c];
    if (r.named_parameters()[1].name == "qkv.bias")
      for (size_t row = 0; row < 4; ++row)
        q[row] += r.named_parameters()[1].tensor->to_vector<double>()[row];
    const double mean = (q[0] + q[1] + q[2] + q[3]) / 4;
    double variance = 0.0;
    for (const double a : q) variance += (a - mean) * (a - mean) / 4;
    for (double& a : q) a = (a - mean) / std::sqrt(variance + 1e-6);
    size_t best = 0;
    double most = -1e300;
    for (size_t k = 0; k < 3; ++k) {
      double score = 0.0;
      for (size_t c = 0; c < 4; ++c) score += q[c] * means[k * 4 + c];
      if (score > most) best = k;
      most = std::max(most, score);
    }
    for (size_t c = 0; c < 4; ++c) sum += std::pow(q[c] - means[best * 4 + c], 2) / 40;
  }
  EXPECT_NEAR(own.sum().item(), 2 * 0.5 * sum, 1e-10);
}

TEST(RoutingTransformer, CheckpointedBlocksGiveTheSameGradientsAndLearnOnce) {
  const auto step = [](bool checkpointing) {
    RoutingTransformerOptions options = small();
    options.checkpointing = checkpointing;
    options.commitment = 0.5;
    options.decay = 0.1;
    options.dropout = 0.2;
    options.token_dropout = 0.2;
    options.attention_dropout = 0.2;
    options.mlp_dropout = 0.2;
    options.embedding_dropout = 0.2;
    const auto model = made(options, DType::f32);
    model->train();
    random_context() = {.seed = 5, .step = 3, .part = 0};
    const Tensor loss = model->loss(random_ids({2, 11}, options.vocab, "ids"),
                                    random_ids({2, 11}, options.vocab, "targets"));
    backward(loss);
    random_context() = {};
    std::map<std::string, std::vector<float>> found{{"loss", loss.to_vector<float>()}};
    for (const auto& p : model->named_parameters())
      if (grad(*p.tensor).defined()) found[p.name] = grad(*p.tensor).to_vector<float>();
    for (const auto& [name, tensor] : state_dict(*model))
      if (name.find("kmeans") != std::string::npos) found[name] = tensor.to_vector<float>();
    return found;
  };
  const auto plain = step(false), again = step(true);
  EXPECT_GT(plain.size(), 30u);
  EXPECT_EQ(again, plain);
}

TEST(RoutingTransformer, StagesOfAPipelineRefuseLossesOfLayers) {
  struct First : StackStage {
    int64_t first_block() const override { return 0; }
    int64_t end_block() const override { return 2; }
    Tensor enter(const Shape& shape, DType dtype) override { return Tensor::zeros(shape, dtype); }
    Tensor leave(const Tensor& x) override { return x; }
  };
  const auto refused = [](double commitment) -> std::string {
    RoutingTransformerOptions options = small();
    options.commitment = commitment;
    const auto model = made(options, DType::f32);
    try {
      model->blocks.share(std::make_shared<First>());
    } catch (const RequestError& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(refused(0.5), HasSubstr("parallel.pipeline"));
  EXPECT_EQ(refused(0.0), "");
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

TEST(TokenDropout, ReplacesTheShareThatItShould) {
  TokenDropout layer(0.25);
  layer.assign_paths();
  const Tensor ids = Tensor::full({8, 500}, 7.0, DType::i64);
  layer.eval();
  EXPECT_EQ(layer.forward(ids).to_vector<int64_t>(), ids.to_vector<int64_t>());
  layer.train();
  random_context() = {.seed = 2, .step = 5, .part = 0};
  const auto kept = layer.forward(ids).to_vector<int64_t>();
  const auto zeros = static_cast<double>(std::count(kept.begin(), kept.end(), 0));
  EXPECT_EQ(std::count(kept.begin(), kept.end(), 7), 4000 - static_cast<int64_t>(zeros));
  EXPECT_NEAR(zeros / 4000, 0.25, 5 * std::sqrt(0.25 * 0.75 / 4000));
  // The second half of the rows, as a part of its own.
  random_context().part = 1;
  const auto half = layer.forward(views::slice(ids, 0, 4, 8)).to_vector<int64_t>();
  EXPECT_TRUE(std::equal(half.begin(), half.end(), kept.begin() + 2000));
  random_context() = {};
}

}  // namespace
}  // namespace heed::nn
