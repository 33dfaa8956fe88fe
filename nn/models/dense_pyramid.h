// Dense prediction from a pyramid's maps (pyramid.h): of every stage, each normalised and projected
// to as many channels, enlarged to the finest and fused (the all-MLP head of SegFormer, Xie et al.,
// arXiv 2105.15203, section 3.2):
//   m_s = enlarge(linear(norm(map_s)))                   [B, H / patch, W / patch, head_dim]
//   y   = enlarge(linear(gelu(linear(concat of m_s))))   [B, H, W, outputs]
// Weights of the stages are named as pyramid's: a classifier's checkpoint starts them.
#pragma once

#include <vector>

#include "nn/layers/linear.h"
#include "nn/models/image_model.h"
#include "nn/models/pyramid_trunk.h"
#include "nn/resized_table.h"

namespace heed::nn {

struct DensePyramidOptions : PyramidOptions {
  int64_t outputs = 0;
  int64_t head_dim = 128;

  void options(Options& o);
};

DensePyramidOptions read_dense_pyramid_options(const Config& config);

class DensePyramid : public ImageModel, public ResizesTables {
 public:
  explicit DensePyramid(const DensePyramidOptions& options);

  ImageGeometry geometry() const override;
  bool unconditional() const override { return true; }
  Config config() const override;
  using ImageModel::forward;
  /// Images of any size, but for learned positions; no times, no labels.
  Tensor forward(const Tensor& x, const Tensor& times, const Tensor& labels) override;
  double flops() const override;
  Tensor resized_table(const std::string& name, const Tensor& given) const override {
    return name == "position" ? trunk.resized_position(given) : Tensor();
  }

  /// The normalised map of every stage [B, H', W', C], finest first: what detection and
  /// segmentation take.
  std::vector<Tensor> features(const Tensor& images);

  PyramidTrunk trunk;
  ModuleList<Linear> projections;  // of each stage
  Linear fuse, head;

 private:
  DensePyramidOptions options_;
};

}  // namespace heed::nn
