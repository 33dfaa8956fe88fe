#include "nn/layers/alibi.h"

#include <bit>
#include <cmath>

#include "autograd/ops/elementwise.h"

namespace heed::nn {
namespace {

std::vector<float> slopes_of_power(int64_t heads) {
  std::vector<float> slopes;
  for (int64_t h = 1; h <= heads; ++h) {
    const double exponent = -8.0 * static_cast<double>(h) / static_cast<double>(heads);
    slopes.push_back(static_cast<float>(std::exp2(exponent)));
  }
  return slopes;
}

}  // namespace

std::vector<float> alibi_slopes(int64_t heads) {
  HEED_CHECK(heads > 0, "alibi: needs at least one head, got {}", heads);
  const auto power = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(heads)));
  std::vector<float> slopes = slopes_of_power(power);
  const std::vector<float> finer = slopes_of_power(2 * power);
  for (size_t i = 0; slopes.size() < static_cast<size_t>(heads); i += 2) slopes.push_back(finer[i]);
  return slopes;
}

void AlibiOptions::options(Options& o) {
  o.field("heads", heads, "attention heads", {.min = 1, .required = true});
}

Alibi::Alibi(const AlibiOptions& options) : slopes(alibi_slopes(options.heads)) {}

Tensor Alibi::forward(const Tensor& scores) {
  const auto heads = static_cast<int64_t>(slopes.size());
  HEED_CHECK(scores.rank() == 4 && scores.size(1) == heads, "alibi: wants [B, {}, N, M], got {}",
             heads, scores);
  const int64_t queries = scores.size(2), keys = scores.size(3);
  std::vector<double> bias;
  bias.reserve(static_cast<size_t>(heads * queries * keys));
  for (const float slope : slopes) {
    for (int64_t i = 0; i < queries; ++i) {
      for (int64_t j = 0; j < keys; ++j) {
        bias.push_back(-double{slope} * static_cast<double>(i + keys - queries - j));
      }
    }
  }
  const Tensor own = cast(Tensor::from(bias, {heads, queries, keys}), scores.dtype());
  return add(scores, own.to(scores.device()));
}

}  // namespace heed::nn
