#include "nn/layers/rotary.h"

#include "nn/layers/learned_position.h"

namespace heed::nn {

void RotarySettings::options(Options& o) {
  o.field("base", base, "ratio of the longest wavelength to the shortest", {.above = 0});
  o.field("rotary_dim", rotary_dim, "features rotated, from the first on; 0 means all", {.min = 0});
  o.field("interleaved", interleaved, "pairs (2i, 2i+1) instead of (i, i + d/2)");
}

Rotary::Rotary(const RotarySettings& settings)
    : rotation{settings.base, settings.rotary_dim, settings.interleaved} {}

Tensor Rotary::forward(const Tensor& x, const Tensor& positions) {
  HEED_CHECK(x.rank() == 4, "rotary: wants [B, H, N, D], got {}", x);
  return rotary(x, positions.defined() ? positions : position_ids(0, x.size(2)), rotation);
}

}  // namespace heed::nn
