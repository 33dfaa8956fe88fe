// Rotary position embedding (Su et al., arXiv 2104.09864, eq. 34): features in pairs (i, i + d/2),
// or (2i, 2i+1) when interleaved, are rotated by the angle position * base^(-2i/d).
#pragma once

#include <string>

#include "autograd/ops/attention.h"
#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

/// How frequencies change for contexts longer than the first training's (kernels::RotaryScaling).
struct RopeScaling {
  RopeScaling() = default;  // no aggregate, of which GCC 12 warns inside others

  std::string type = "none";
  double factor = 1.0;
  double low = 1.0;
  double high = 4.0;
  int64_t context = 8192;

  void options(Options& o);
  kernels::RotaryScaling resolved() const;
};

struct RotarySettings {
  double base = 10000.0;
  int64_t rotary_dim = 0;
  bool interleaved = false;
  RopeScaling scaling;

  void options(Options& o);
};

struct Rotary : Module {
  explicit Rotary(const RotarySettings& settings);

  /// x [B, H, N, D], positions [N] or [B, N] i64 (0 to N-1 when undefined) -> the same shape.
  Tensor forward(const Tensor& x, const Tensor& positions);
  Tensor forward(const Tensor& x) { return forward(x, {}); }

  RotaryOptions rotation;
};

}  // namespace heed::nn
