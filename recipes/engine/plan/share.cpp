#include "recipes/engine/plan/share.h"

#include <cmath>
#include <numeric>

#include "distributed/pipeline.h"

namespace heed::recipes {
namespace {

constexpr int64_t kF32 = 4;

/// Of things that do not share out evenly: the rank with one more.
int64_t over(int64_t whole, int64_t parts) { return (whole + parts - 1) / parts; }

}  // namespace

const std::string& name_of(Sharding sharding) {
  return sharding_names()[static_cast<size_t>(sharding)];
}

int64_t sharers_of_key_head(const PlannedModel& m, int64_t ranks) {
  return std::max<int64_t>(1, ranks / m.kv_heads);
}

int64_t token_multiple(const Share& s) {
  return std::lcm(pieces(s.layout, s.mesh.sequence), s.share_norms ? s.mesh.tensor : 1);
}

int64_t part_of(const PlannedParameter& p, const MeshShape& mesh) {
  if (p.over_tensor()) {
    int64_t extent = 0, part = 0;
    for (const int64_t group : p.tensor_groups) {
      extent += group;
      part += over(group, mesh.tensor);
    }
    return p.elements / extent * part;
  }
  return p.over_sequence ? over(p.elements, mesh.sequence) : p.elements;
}

namespace {

/// What a rank of the data axis holds, once it is shared.
int64_t dealt(int64_t elements, const Share& s, Sharding from) {
  return s.sharding < from ? elements : over(elements, s.mesh.data);
}

/// Of a parameter through a step, where a rank of the other axes has so many elements: its share,
/// and whole what no block gathers for itself (ShardedParameters::require). A frozen one is whole.
int64_t held_elements(const PlannedParameter& p, int64_t elements, const Share& s) {
  const bool shared = s.sharding == Sharding::parameters && s.mesh.data > 1 && p.trained;
  if (!shared) return elements;
  return dealt(elements, s, Sharding::parameters) + (p.unit == 0 ? elements : 0);
}

}  // namespace

bool held_by(const PlannedParameter& p, const PlannedModel& m, int64_t stages, int64_t stage) {
  if (p.layer < 0 || stages == 1) return true;
  const BlockRange own = blocks_of_stage(m.layers, stages, stage);
  return own.first <= p.layer && p.layer < own.end;
}

int64_t holders_of(const PlannedParameter& p, const MeshShape& mesh) {
  return (p.over_tensor() ? 1 : mesh.tensor) * (p.over_sequence ? 1 : mesh.sequence) *
         (p.layer < 0 ? mesh.pipeline : 1);
}

double stream_width(const PlannedModel& m, const Share& s) {
  return static_cast<double>(m.dim) / static_cast<double>(s.share_norms ? s.mesh.tensor : 1);
}

double rows_of_rank(const Share& s) {
  return static_cast<double>(s.rows) / static_cast<double>(s.mesh.data);
}

AttentionShare attention_share(const PlannedModel& m, const Share& s) {
  const auto part = [](int64_t whole, int64_t parts) {
    return static_cast<double>(over(whole, parts));
  };
  return {rows_of_rank(s),
          part(m.tokens, s.mesh.sequence),
          part(m.heads, s.mesh.tensor),
          part(m.kv_heads, s.mesh.tensor),
          static_cast<double>(m.head_dim),
          static_cast<double>(s.mesh.sequence),
          static_cast<double>(m.projected)};
}

int64_t state_bytes(const optim::OptimizerOptions& optimizer, int64_t elements, int64_t rows,
                    int rank) {
  if (optimizer.type == "adam" || optimizer.type == "adamw") return 2 * elements * kF32;
  if (optimizer.type == "adafactor") {
    return (rank >= 2 ? rows + elements / rows : elements) * kF32;
  }
  return optimizer.momentum != 0.0 ? elements * kF32 : 0;
}

namespace {

/// Hidden features of a feed-forward layer.
double hidden_width(const PlannedModel& m, const Share& s) {
  return static_cast<double>(over(m.hidden, s.mesh.tensor));
}

}  // namespace

// What the ops of a block keep (autograd/ops/), a token, in units of the activations' dtype. C is
// the model's width, S that of the residual stream (stream_width):
//
// - 2 S: what the two norms take in
// - 2 C: what attention and the feed-forward layer take in, whole on every rank of the tensor axis
// - (Z + 2 Z_kv) A: packed queries, keys and values
// - Z A: attention's output
// - 2 h, or 3 h for swiglu: the feed-forward layer before and after its activation
// - (Z + Z_kv) A: again queries and keys, where each head is normalised
//
// and in f32 the norms' statistics. Dropout keeps nothing: its masks are drawn again.
double kept_of_block(const PlannedModel& m, const Share& s) {
  const AttentionShare a = attention_share(m, s);
  const auto dim = static_cast<double>(m.dim);
  const double stream = stream_width(m, s), hidden = hidden_width(m, s);
  const double packed = (a.heads + 2 * a.kv_heads) * a.head_dim;
  double values = 2 * stream + 2 * dim + packed + a.heads * a.head_dim +
                  (m.gated ? 3 : 2) * hidden + m.branch_copies * stream;
  double f32_values = 2 * (m.rms ? 1 : 2) * stream / dim;
  if (m.head_norms) {
    values += (a.heads + a.kv_heads) * a.head_dim;
    f32_values += a.heads + a.kv_heads;
  }
  const double tokens = a.rows * a.tokens;
  return tokens * (values * s.element_bytes + f32_values * kF32) +
         kept_by_attention(s.method, a, s.element_bytes);
}

namespace {

/// Kept of what stands before and after the blocks: ids, the last norm, the head's gradients (which
/// the fused loss forms in the forward pass, its weight's once a step and not here). All tokens are
/// there, with share_norms too: ranks take their own where the blocks begin.
double kept_outside(const PlannedModel& m, const Share& s, int64_t stage) {
  const AttentionShare a = attention_share(m, s);
  const double tokens = a.rows * a.tokens;
  const auto dim = static_cast<double>(m.dim);
  const double stream = tokens * dim * s.element_bytes;
  double bytes = 0.0;
  if (stage == 0) {
    bytes += m.input_values > 0 ? a.rows * static_cast<double>(m.input_values) * s.element_bytes
                                : tokens * 8;
    if (!m.norm_first) bytes += stream;  // what the embeddings' norm took in
    // The embeddings that a part of the vocabulary gave, before those of other parts are left out.
    if (s.mesh.tensor > 1 && m.input_values == 0) bytes += stream + tokens * kF32;
    // With share_norms the first block's input is a view of all tokens'.
    if (m.norm_first || s.checkpointing) bytes += stream * (1 - stream_width(m, s) / dim);
  }
  if (stage == s.mesh.pipeline - 1) {
    // The last norm's input or, with the norm last, the last block's output; then the former's
    // output where it is read by a layer, what stands before a masked token's logits, and the
    // gradient of what the logits are made of.
    if (m.norm_first || m.last_kept) bytes += stream;
    if (m.norm_first && m.last_kept) bytes += stream;
    if (m.outputs > 0) bytes += (m.masked ? 3 : 1) * stream;
  }
  return bytes;
}

/// The blocks' inputs; a stage's first block has the stream alone.
double kept_under_checkpoint(const PlannedModel& m, const Share& s, int64_t stage) {
  const AttentionShare a = attention_share(m, s);
  const int64_t layers = blocks_of_stage(m.layers, s.mesh.pipeline, stage).size();
  const auto inputs = static_cast<double>(layers * m.kept_per_block - (m.kept_per_block - 1));
  return a.rows * a.tokens * stream_width(m, s) * inputs * s.element_bytes;
}

/// What the last block's backward pass needs at the most: for its feed-forward layer the gradients
/// of the hidden features and the stream, or of both halves of a gate; or else for its attention,
/// when what the feed-forward layer kept is gone. Both have all tokens, with share_norms too.
double backward_working(const PlannedModel& m, const Share& s) {
  const AttentionShare a = attention_share(m, s);
  const double hidden = hidden_width(m, s);
  const auto dim = static_cast<double>(m.dim);
  const double of_token = a.rows * a.tokens * s.element_bytes;
  const double feed_forward = of_token * (m.gated ? 2 * hidden : hidden + dim);
  const double gone = of_token * ((m.gated ? 3 : 2) * hidden + dim);
  return std::max(feed_forward, needed_by_attention(s.method, a, s.element_bytes) - gone);
}

}  // namespace

RankMemory rank_memory(const PlannedModel& m, const Share& s, int64_t stage) {
  RankMemory memory;
  memory.stage = stage;
  const int64_t stages = s.mesh.pipeline;
  int64_t trained = 0, largest_block = 0;
  std::vector<int64_t> units(static_cast<size_t>(m.units + 1));
  for (const PlannedParameter& p : m.parameters) {
    if (!held_by(p, m, stages, stage)) continue;
    const int64_t elements = part_of(p, s.mesh);
    memory.parameters += held_elements(p, elements, s) * kF32;
    if (p.unit > 0) {
      largest_block = std::max(largest_block, units[static_cast<size_t>(p.unit)] += elements);
    }
    if (!p.trained) continue;
    trained += elements;
    memory.gradients += dealt(elements, s, Sharding::gradients) * kF32;
    const int64_t own = dealt(elements, s, Sharding::optimizer);
    const int64_t rows =
        std::max<int64_t>(1, p.first_extent * own / std::max<int64_t>(1, elements));
    memory.optimizer += state_bytes(s.optimizer, own, rows, p.rank);
    if (s.average) memory.average += own * kF32;
  }
  memory.parameters += m.buffer_bytes;
  memory.optimizer += 8;  // the number of steps

  const double under_way =
      static_cast<double>(stages > 1 ? in_flight(stages, stage, s.micro_batches) : 1);
  const AttentionShare a = attention_share(m, s);
  const double layers = static_cast<double>(blocks_of_stage(m.layers, stages, stage).size());
  double kept = 0.0, working = 0.0;
  if (m.known) {
    const double block = kept_of_block(m, s);
    const double attention = kept_by_attention(s.method, a, s.element_bytes);
    kept = (s.checkpointing ? kept_under_checkpoint(m, s, stage) : layers * block) +
           kept_outside(m, s, stage);
    memory.attention = std::llround(s.checkpointing ? attention : under_way * layers * attention);
    working = backward_working(m, s) + (s.checkpointing ? block : 0.0);
  } else {
    kept = m.measured_bytes * rows_of_rank(s) / static_cast<double>(stages);
  }
  memory.activations = std::llround(under_way * kept);
  memory.working = std::llround(working);
  // Gradients travel in buckets, which take the place of the gradients themselves but for the one
  // being filled; shards of parameters are gathered a block ahead.
  constexpr int64_t kBucket = int64_t{8} << 20;
  if (s.mesh.ranks() > 1) memory.communication += std::min(trained * kF32, kBucket);
  if (s.sharding == Sharding::parameters && s.mesh.data > 1) {
    memory.communication += 2 * largest_block * kF32;
  }

  const int64_t standing =
      memory.parameters + memory.optimizer + memory.average + memory.communication;
  const int64_t passing = memory.activations + memory.working;
  // When activations are the most there are gradients of the head's weight, which the loss forms in
  // its forward pass, and of a feed-forward layer, or of the block that is recomputed.
  const int64_t block_gradient =
      s.checkpointing ? largest_block : (m.gated ? 3 : 2) * m.hidden * m.dim / s.mesh.tensor;
  const int64_t first = (m.outputs * m.dim / s.mesh.tensor + block_gradient) * kF32;
  memory.total =
      standing + (s.micro_batches > 1
                      ? memory.gradients + passing
                      : std::max(memory.gradients, passing + std::min(first, memory.gradients)));
  return memory;
}

RankMemory largest_memory(const PlannedModel& model, const Share& share) {
  RankMemory largest = rank_memory(model, share, 0);
  for (int64_t stage = 1; stage < share.mesh.pipeline; ++stage) {
    const RankMemory other = rank_memory(model, share, stage);
    if (other.total > largest.total) largest = other;
  }
  return largest;
}

}  // namespace heed::recipes
