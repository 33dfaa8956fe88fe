// A hierarchical vision transformer: stages of attention blocks on maps that shrink by two while
// their channels grow (Wang et al., arXiv 2102.12122; Swin, arXiv 2103.14030; NAT, arXiv
// 2204.07143; DaViT, arXiv 2204.03645; VAN, arXiv 2202.09741):
//   x = stem(image);   x = blocks(x);   x = blocks(downsample(x));   ...   logits =
//   head(mean(norm(x)))
// What these families do differently are options; what their attention does is the slot's.
#pragma once

#include <vector>

#include "nn/layers/linear.h"
#include "nn/models/classifier.h"
#include "nn/models/pyramid_trunk.h"

namespace heed::nn {

class Pyramid : public PyramidModel<Classifier> {
 public:
  explicit Pyramid(const PyramidOptions& options);

  ClassifierInput input() const override;
  int64_t classes() const override { return options().classes; }
  Config config() const override;
  using Classifier::forward;
  /// Images of any size, but for learned positions.
  Tensor forward(const Tensor& images, const Tensor& lengths) override;
  double flops() const override;

  /// The map of every stage [B, H', W', C], finest first.
  std::vector<Tensor> features(const Tensor& images) { return trunk.maps(images, compute_dtype()); }
  const PyramidOptions& options() const { return trunk.options; }

  Linear head;
};

}  // namespace heed::nn
