// VAN: pyramids of large kernel attention (Guo et al., arXiv 2202.09741, table 2), every published
// size as a preset of `pyramid`: van-b0 ... van-b6. Overlapping patches, batch norms, a depthwise
// convolution in the feed-forward layers, a layer norm behind each stage; no positions.
#pragma once

#include <map>
#include <string>

#include "nn/models/pyramid_options.h"

namespace heed::nn {

std::map<std::string, PyramidOptions> van_presets();

}  // namespace heed::nn
