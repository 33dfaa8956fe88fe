// Dense prediction from a pyramid's maps (pyramid.h): of every stage, each normalised and projected
// to as many channels, enlarged to the finest and fused (the all-MLP head of SegFormer, Xie et al.,
// arXiv 2105.15203, section 3.2):
//   m_s = enlarge(linear(norm(map_s)))                   [B, H / patch, W / patch, head_dim]
//   y   = enlarge(linear(gelu(linear(concat of m_s))))   [B, H, W, outputs]
// Weights of the stages are named as pyramid's: a classifier's checkpoint starts them. So are
// `norms`, but without `stage_norms` the classifier has one alone, `norms.0`, of its last stage.
#pragma once

#include <vector>

#include "nn/layers/linear.h"
#include "nn/models/image_model.h"
#include "nn/models/pyramid_trunk.h"

namespace heed::nn {

struct DensePyramidOptions : PyramidOptions {
  int64_t outputs = 0;
  int64_t head_dim = 128;

  void options(Options& o);
};

DensePyramidOptions read_dense_pyramid_options(const Config& config);

class DensePyramid : public PyramidModel<ImageModel> {
 public:
  explicit DensePyramid(const DensePyramidOptions& options);

  ImageGeometry geometry() const override;
  bool unconditional() const override { return true; }
  Config config() const override;
  using ImageModel::forward;
  /// Images of any size, but for learned positions; no times, no labels.
  Tensor forward(const Tensor& x, const Tensor& times, const Tensor& labels) override;
  double flops() const override;

  /// The normalised map of every stage [B, H', W', C], finest first: what detection and
  /// segmentation take.
  std::vector<Tensor> features(const Tensor& images);

  ModuleList<Linear> projections;  // of each stage
  Linear fuse, head;

 private:
  DensePyramidOptions options_;
};

}  // namespace heed::nn
