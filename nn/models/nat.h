// NAT and DiNAT: pyramids of neighborhood attention (Hassani et al., arXiv 2204.07143; Hassani and
// Shi, arXiv 2209.15001), every published size as a preset of `pyramid`.
//   nat-*        overlapping convolutions between stages, windows of 7 x 7 with relative biases
//   dinat-*      the same, every second layer dilated as far as its map allows
//   dinat_s-*    Swin's shape with both kinds of layers
//   nat-iso-*, dinat-iso-*, vit-rpb-*    one stage of patches of 16 x 16: a plain transformer
#pragma once

#include <map>
#include <string>

#include "nn/models/pyramid_options.h"

namespace heed::nn {

std::map<std::string, PyramidOptions> nat_presets();

}  // namespace heed::nn
