#include "nn/layers/rotary.h"

#include "nn/layers/learned_position.h"

namespace heed::nn {

void RopeScaling::options(Options& o) {
  o.field("type", type,
          "none, linear (every frequency by `factor`) or llama3 (the low frequencies alone)",
          {.one_of = {"none", "linear", "llama3"}});
  o.field("factor", factor, "divides frequencies", {.above = 0});
  o.field("low", low, "llama3: turns within `context` below which a frequency is divided",
          {.min = 0});
  o.field("high", high, "llama3: turns above which it stays as it is", {.min = 0});
  o.field("context", context, "llama3: tokens that the model was first trained on", {.min = 1});
  o.check(high > low, "high", fmt::format("high ({}) must be above low ({})", high, low));
}

kernels::RotaryScaling RopeScaling::resolved() const {
  using Kind = kernels::RotaryScaling::Kind;
  const Kind kind = type == "linear" ? Kind::linear : type == "llama3" ? Kind::llama3 : Kind::none;
  return {kind, factor, low, high, context};
}

void RotarySettings::options(Options& o) {
  o.field("base", base, "ratio of the longest wavelength to the shortest", {.above = 0});
  o.field("rotary_dim", rotary_dim, "features rotated, from the first on; 0 means all", {.min = 0});
  o.field("interleaved", interleaved, "pairs (2i, 2i+1) instead of (i, i + d/2)");
  o.field("scaling", scaling, "other frequencies, for longer contexts");
}

Rotary::Rotary(const RotarySettings& settings)
    : rotation{settings.base, settings.rotary_dim, settings.interleaved,
               settings.scaling.resolved()} {}

Tensor Rotary::forward(const Tensor& x, const Tensor& positions) {
  HEED_CHECK(x.rank() == 4, "rotary: wants [B, H, N, D], got {}", x);
  return rotary(x, positions.defined() ? positions : position_ids(0, x.size(2)), rotation);
}

}  // namespace heed::nn
