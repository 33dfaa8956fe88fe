// The routing transformer by loops over tokens, in f64: the definition, which the model is compared
// with.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "nn/models/routing_transformer.h"

namespace heed::nn::routing_models {

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

}  // namespace heed::nn::routing_models
