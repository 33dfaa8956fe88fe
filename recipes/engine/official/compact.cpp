// Compact Transformers (arXiv 2104.05704; github.com/SHI-Labs/Compact-Transformers): patches are
// convolutions' in all of them, and a block's second norm is its `norm1`.
#include "recipes/engine/official/family.h"

namespace heed::recipes::official {
namespace {

using hf::Layout;

Family compact(const std::string& name, const std::string& source) {
  Family f{name, "vit", source, {}};
  f.rows = {
      {"tokenizer.convs.{}", "tokenizer.conv_layers.{0}.0", Layout::channels},
      {"patch_embed.conv", "tokenizer.conv_layers.0.0", Layout::channels},
      {"cls", "classifier.class_emb"},
      {"position.weight", "classifier.positional_emb", Layout::row},
      {"blocks.{}.norm1", "classifier.blocks.{0}.pre_norm"},
      {"blocks.{}.attn.qkv", "classifier.blocks.{0}.self_attn.qkv"},
      {"blocks.{}.attn.out", "classifier.blocks.{0}.self_attn.proj"},
      {"blocks.{}.norm2", "classifier.blocks.{0}.norm1"},
      {"blocks.{}.mlp.up", "classifier.blocks.{0}.linear1"},
      {"blocks.{}.mlp.down", "classifier.blocks.{0}.linear2"},
      {"pool.score", "classifier.attention_pool"},
      {"norm", "classifier.norm"},
      {"head", "classifier.fc"},
  };
  return f;
}

}  // namespace

std::vector<Family> compact_families() {
  return {compact("cct", "src/cct.py"), compact("cvt", "src/cvt.py"),
          compact("vit-lite", "src/vit.py")};
}

}  // namespace heed::recipes::official
