// The stages of a hierarchical vision transformer, which its models share (pyramid.h,
// dense_pyramid.h):
//   x = stem(image);   x = blocks(x);   x = blocks(downsample(x));   ...
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/layers/dropout.h"
#include "nn/layers/patch_merging.h"
#include "nn/models/pyramid_block.h"
#include "nn/models/pyramid_options.h"
#include "nn/resized_table.h"

namespace heed::nn {

/// What makes a stage's map of the one before it, or of the image.
struct StageEmbed : Module {
  StageEmbed(const PyramidOptions& options, size_t stage);

  /// x [B, H, W, C] -> [B, H', W', dims[stage]].
  Tensor forward(const Tensor& x);
  /// Forward floating-point operations on a map whose size is changed to the result's.
  double flops(int64_t& height, int64_t& width) const;

  std::unique_ptr<PatchMerging> merge;  // or null, and then:
  ModuleList<Conv> convs;
  std::unique_ptr<Norm> norm;  // after the convolutions, or before them

 private:
  bool norm_first_ = false;
};

/// Modules that their owner registers as its own: see PyramidModel.
struct PyramidTrunk {
  /// `every_norm`: a norm of every stage, else of the last alone where `stage_norms` is off.
  PyramidTrunk(const PyramidOptions& options, bool every_norm);

  /// images [B, H, W, C] -> the map of every stage [B, H', W', dims], finest first; behind its norm
  /// with `stage_norms`.
  std::vector<Tensor> maps(const Tensor& images, DType compute);
  /// Forward floating-point operations on an image; `pixels`, unless null, receives those of every
  /// stage's map.
  double flops(int64_t height, int64_t width, std::vector<int64_t>* pixels = nullptr) const;
  /// How `position` starts.
  Init position_init() const;
  /// Another trunk's `position` at this one's size; undefined where it is none.
  Tensor resized_position(const Tensor& given) const;

  PyramidOptions options;
  ModuleList<StageEmbed> embeds;
  Tensor position;  // [1, H, W, dims[0]], or undefined
  Dropout dropout;
  ModuleList<ModuleList<PyramidBlock>> stages;
  ModuleList<Norm> norms;
};

/// A `Base` (a classifier, an image model) of such stages, whose weights every model of the family
/// names alike, so that one can start from another's.
template <class Base>
class PyramidModel : public Base, public ResizesTables {
 public:
  Tensor resized_table(const std::string& name, const Tensor& given) const override {
    return name == "position" ? trunk.resized_position(given) : Tensor();
  }

  PyramidTrunk trunk;

 protected:
  PyramidModel(const PyramidOptions& options, bool every_norm) : trunk(options, every_norm) {
    if (trunk.position.defined()) {
      this->parameters({{"position", trunk.position, trunk.position_init()}});
    }
    this->children({{"embeds", trunk.embeds}, {"dropout", trunk.dropout}});
    this->children({{"stages", trunk.stages}, {"norms", trunk.norms}});
  }
};

}  // namespace heed::nn
