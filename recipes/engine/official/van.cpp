// VAN (arXiv 2202.09741; github.com/Visual-Attention-Network/VAN-Classification): stages are
// counted from 1, and what is linear here is a convolution of 1 x 1 there.
#include "recipes/engine/official/family.h"

namespace heed::recipes::official {

std::vector<Family> van_families() {
  using hf::Layout;
  Family f{"van", "pyramid", "models/van.py", {}};
  f.rows = {
      {"embeds.{}.convs.0", "patch_embed{0+1}.proj", Layout::channels},
      {"embeds.{}.norm", "patch_embed{0+1}.norm"},
      {"stages.{}.{}.norm1", "block{0+1}.{1}.norm1"},
      {"stages.{}.{}.attn.proj_in", "block{0+1}.{1}.attn.proj_1", Layout::pointwise},
      {"stages.{}.{}.attn.near", "block{0+1}.{1}.attn.spatial_gating_unit.conv0", Layout::channels},
      {"stages.{}.{}.attn.far", "block{0+1}.{1}.attn.spatial_gating_unit.conv_spatial",
       Layout::channels},
      {"stages.{}.{}.attn.mix", "block{0+1}.{1}.attn.spatial_gating_unit.conv1", Layout::pointwise},
      {"stages.{}.{}.attn.proj_out", "block{0+1}.{1}.attn.proj_2", Layout::pointwise},
      {"stages.{}.{}.scale1.scale", "block{0+1}.{1}.layer_scale_1"},
      {"stages.{}.{}.norm2", "block{0+1}.{1}.norm2"},
      {"stages.{}.{}.mlp.up", "block{0+1}.{1}.mlp.fc1", Layout::pointwise},
      {"stages.{}.{}.mlp.depthwise", "block{0+1}.{1}.mlp.dwconv.dwconv", Layout::channels},
      {"stages.{}.{}.mlp.down", "block{0+1}.{1}.mlp.fc2", Layout::pointwise},
      {"stages.{}.{}.scale2.scale", "block{0+1}.{1}.layer_scale_2"},
      {"norms.{}", "norm{0+1}"},
      {"head", "head"},
  };
  f.derived = {".num_batches_tracked"};
  return {f};
}

}  // namespace heed::recipes::official
