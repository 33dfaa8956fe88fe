// What training refuses, said before it is started.
#include <algorithm>

#include "recipes/engine/plan/share.h"

namespace heed::recipes {
namespace {

bool divides(int64_t part, int64_t whole) { return part > 0 && whole % part == 0; }

/// What looks at whole tensors cannot work on parts of them.
std::string refused_parts(const PlannedModel& m, const Share& s) {
  const std::string needy =
      s.adaptive_clip ? "train.adaptive_clip" : optim::needs_whole_tensors(s.optimizer);
  if (needy.empty()) return "";
  const bool shards = s.sharding != Sharding::none;
  const auto shared = [&](const PlannedParameter& p) {
    return (p.over_tensor() && s.mesh.tensor > 1) || (p.over_sequence && s.mesh.sequence > 1);
  };
  if (!shards && std::none_of(m.parameters.begin(), m.parameters.end(), shared)) return "";
  return fmt::format("{}: {} needs whole tensors",
                     shards ? "shard " + name_of(s.sharding) : s.mesh.to_string(), needy);
}

std::string refused_tensor(const PlannedModel& m, const Share& s) {
  const int64_t n = s.mesh.tensor;
  if (!divides(n, m.heads) || (!divides(n, m.kv_heads) && !divides(m.kv_heads, n))) {
    return fmt::format(
        "tensor {}: it must divide the {} heads, and divide or be a multiple of the {} key heads",
        n, m.heads, m.kv_heads);
  }
  if (const int64_t sharers = sharers_of_key_head(m, n); sharers > m.head_dim) {
    return fmt::format("tensor {}: {} ranks cannot share a key head of {} features", n, sharers,
                       m.head_dim);
  }
  for (const PlannedParameter& p : m.parameters) {
    for (const int64_t group : p.tensor_groups) {
      if (group < n) return fmt::format("tensor {}: {} has {} features to share", n, p.name, group);
    }
  }
  return "";
}

std::string refused_sequence(const PlannedModel& m, const Share& s) {
  const int64_t n = s.mesh.sequence;
  if (s.share_norms) {
    return fmt::format("sequence {}: parallel.share_norms shares the tokens already", n);
  }
  if (m.attention == "linformer" && s.layout == TokenLayout::zigzag) {
    return fmt::format("sequence {}: linformer has no zigzag layout", n);
  }
  const int64_t both = n * s.mesh.tensor;
  if (s.method == SequenceMethod::heads &&
      (!divides(both, m.heads) || !divides(both, m.kv_heads))) {
    return fmt::format("sequence {}: heads needs a multiple of that on every rank, of {} and {}", n,
                       m.heads, m.kv_heads);
  }
  return "";
}

}  // namespace

std::string refusal(const PlannedModel& m, const Share& s) {
  const MeshShape& mesh = s.mesh;
  if (!divides(mesh.data, s.rows)) {
    return fmt::format("data {}: the {} rows of a micro-batch do not share out", mesh.data, s.rows);
  }
  if (!divides(mesh.data, s.evaluation_rows)) {
    return fmt::format("data {}: evaluation.batch_size {} does not share out", mesh.data,
                       s.evaluation_rows);
  }
  const bool inner = mesh.sequence > 1 || mesh.tensor > 1;
  if ((!m.known && inner) || (m.layers == 0 && mesh.pipeline > 1)) {
    return fmt::format(
        "heed plan has no formulas for {}; it plans data (and pipeline for gpt, encoder, vit) "
        "alone, which says nothing of what train can do",
        m.layers == 0         ? m.type.empty() ? "this task" : "model '" + m.type + "'"
        : m.unplanned.empty() ? "this task"
                              : m.unplanned);
  }
  if (mesh.pipeline > 1 && mesh.pipeline > m.layers) {
    return fmt::format("pipeline {}: the model has {} blocks", mesh.pipeline, m.layers);
  }
  if (s.sharding == Sharding::parameters && m.units == 0) {
    return "shard parameters: they are gathered block by block, and this model has no blocks";
  }
  std::string no = refused_parts(m, s);
  if (no.empty() && mesh.tensor > 1) no = refused_tensor(m, s);
  if (no.empty() && mesh.sequence > 1) no = refused_sequence(m, s);
  if (!no.empty() || !inner || divides(token_multiple(s), m.tokens)) return no;
  return fmt::format("{} {}: {} tokens do not share out: they must be a multiple of {}",
                     mesh.sequence > 1 ? "sequence" : "share_norms, tensor",
                     mesh.sequence > 1 ? mesh.sequence : mesh.tensor, m.tokens, token_multiple(s));
}

}  // namespace heed::recipes
