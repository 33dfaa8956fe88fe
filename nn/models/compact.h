// Compact Transformers (Hassani et al., Escaping the Big Data Paradigm, arXiv 2104.05704), every
// published size as a preset of `vit`:
//   vit-lite-L-P    small patches and a class token
//   cvt-L-P         the class token replaced by sequence pooling
//   cct-L-PxC       the patches replaced by C convolutions of P x P, each with a max-pool
// of L layers, whose second norm replaces the residual stream. Positions are learned; the paper's
// second form is `position: sinusoidal`. Images of 32 x 32 and 10 classes unless the name says
// else.
#pragma once

#include <map>
#include <string>

#include "nn/models/vit_options.h"

namespace heed::nn {

/// Layers, heads, width and hidden features of a size (2, 4, 6, 7 or 14), which texts share.
struct CompactSize {
  int64_t layers = 0, heads = 0, dim = 0, hidden = 0;
};
CompactSize compact_size(int64_t layers);

std::map<std::string, VitOptions> compact_presets();

}  // namespace heed::nn
