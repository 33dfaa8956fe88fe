// NAT and DiNAT (arXiv 2204.07143, 2209.15001; github.com/SHI-Labs/Neighborhood-Attention-
// Transformer): attention's names are NATTEN's. The table of biases is looked up by key - query +
// window - 1 on both sides, the row's offset slower. In the isotropic models with dense attention
// (vit-rpb) so too, by way of an index that is turned twice.
#include "recipes/engine/official/family.h"

namespace heed::recipes::official {
namespace {

using hf::Layout;

/// The rows of a block: `ours` and `theirs` are what its names begin with.
void add_block(const std::string& ours, const std::string& theirs, std::vector<Row>& rows) {
  const std::vector<Row> own = {{".norm1", ".norm1"},
                                {".attn.qkv", ".attn.qkv"},
                                {".attn.table", ".attn.rpb", Layout::square},
                                {".attn.out", ".attn.proj"},
                                {".norm2", ".norm2"},
                                {".mlp.up", ".mlp.fc1"},
                                {".mlp.down", ".mlp.fc2"},
                                {".scale1.scale", ".gamma1"},
                                {".scale2.scale", ".gamma2"}};
  for (const Row& row : own) rows.push_back({ours + row.ours, theirs + row.theirs, row.layout});
}

void add_end(std::vector<Row>& rows) {
  rows.push_back({"norms.0", "norm"});
  rows.push_back({"head", "head"});
}

Family convolutional(const std::string& name, const std::string& source) {
  Family f{name, "pyramid", source, {}};
  f.rows = {{"embeds.0.convs.{}", "patch_embed.proj.{0}", Layout::channels},
            {"embeds.0.norm", "patch_embed.norm"},
            {"embeds.{}.convs.0", "levels.{0-1}.downsample.reduction", Layout::channels},
            {"embeds.{}.norm", "levels.{0-1}.downsample.norm"}};
  add_block("stages.{}.{}", "levels.{0}.blocks.{1}", f.rows);
  add_end(f.rows);
  return f;
}

Family merging() {
  Family f{"dinat_s", "pyramid", "classification/dinats.py", {}};
  f.rows = {{"embeds.0.convs.0", "patch_embed.proj", Layout::channels},
            {"embeds.0.norm", "patch_embed.norm"},
            {"embeds.{}.merge.norm", "layers.{0-1}.downsample.norm"},
            {"embeds.{}.merge.reduction", "layers.{0-1}.downsample.reduction"}};
  add_block("stages.{}.{}", "layers.{0}.blocks.{1}", f.rows);
  add_end(f.rows);
  return f;
}

Family isotropic(const std::string& name) {
  Family f{name, "pyramid", "classification/isotropic.py", {}};
  f.rows = {{"embeds.0.convs.0", "patch_embed.proj", Layout::channels},
            {"embeds.0.norm", "patch_embed.norm"}};
  add_block("stages.0.{}", "layers.{0}", f.rows);
  add_end(f.rows);
  f.derived = {".attn.relative_position_index"};
  return f;
}

}  // namespace

std::vector<Family> nat_families() {
  return {convolutional("nat", "classification/nat.py"),
          convolutional("dinat", "classification/dinat.py"),
          merging(),
          isotropic("nat-iso"),
          isotropic("dinat-iso"),
          isotropic("vit-rpb")};
}

}  // namespace heed::recipes::official
