#include "recipes/engine/plan/share.h"

#include <cmath>

namespace heed::recipes {
namespace {

constexpr int64_t kF32 = 4;

bool divides(int64_t part, int64_t whole) { return part > 0 && whole % part == 0; }

}  // namespace

const std::string& name_of(Sharding sharding) {
  return sharding_names()[static_cast<size_t>(sharding)];
}

std::string refusal(const PlannedModel& m, const Share& s) {
  const MeshShape& mesh = s.mesh;
  if (!divides(mesh.data, s.rows)) {
    return fmt::format("data {}: the {} rows of a micro-batch do not share out", mesh.data, s.rows);
  }
  if (mesh.pipeline > 1 && mesh.pipeline > m.layers) {
    return fmt::format("pipeline {}: the model has {} blocks", mesh.pipeline, m.layers);
  }
  if (!m.known && (mesh.sequence > 1 || mesh.tensor > 1)) {
    return fmt::format("sequence, tensor: {} of {} can share its batch alone",
                       m.attention.empty() ? "this task" : "attention '" + m.attention + "'",
                       m.type);
  }
  if (mesh.tensor > 1 && std::min({m.heads, m.kv_heads, m.hidden}) < mesh.tensor) {
    return fmt::format(
        "tensor {}: there are {} heads, {} key heads and {} hidden features to share", mesh.tensor,
        m.heads, m.kv_heads, m.hidden);
  }
  // Causal rows are cut into two chunks a rank, so that the ranks' work is equal (zig-zag).
  const int64_t chunks = mesh.sequence * (m.causal && s.method == SequenceMethod::ring ? 2 : 1);
  if (mesh.sequence > 1 && !divides(chunks, m.tokens)) {
    return fmt::format("sequence {}: {} tokens do not share out in {} equal parts", mesh.sequence,
                       m.tokens, chunks);
  }
  if (mesh.sequence > 1 && s.method == SequenceMethod::heads &&
      (!divides(mesh.sequence * mesh.tensor, m.heads) ||
       !divides(mesh.sequence * mesh.tensor, m.kv_heads))) {
    return fmt::format("sequence {}: heads needs a multiple of that on every rank, of {} and {}",
                       mesh.sequence, m.heads, m.kv_heads);
  }
  if (s.sharding != Sharding::none && mesh.data > 1 && optim::needs_whole_tensors(s.optimizer)) {
    return fmt::format("shard {}: {} needs whole tensors", name_of(s.sharding), s.optimizer.type);
  }
  return "";
}

int64_t part_of(const PlannedParameter& p, const MeshShape& mesh) {
  const int64_t parts = p.over_tensor ? mesh.tensor : p.position ? mesh.sequence : 1;
  return (p.elements + parts - 1) / parts;
}

int64_t layers_of(int64_t layers, int64_t stages, int64_t stage) {
  return layers / stages + (stage < layers % stages ? 1 : 0);
}

namespace {

int64_t first_layer(int64_t layers, int64_t stages, int64_t stage) {
  int64_t first = 0;
  for (int64_t k = 0; k < stage; ++k) first += layers_of(layers, stages, k);
  return first;
}

/// What a rank of the data axis holds, once it is shared.
int64_t dealt(int64_t elements, const Share& s, Sharding from) {
  if (s.sharding < from) return elements;
  return (elements + s.mesh.data - 1) / s.mesh.data;
}

}  // namespace

bool held_by(const PlannedParameter& p, const PlannedModel& m, int64_t stages, int64_t stage) {
  if (p.layer < 0) return true;
  const int64_t first = first_layer(m.layers, stages, stage);
  return p.layer >= first && p.layer < first + layers_of(m.layers, stages, stage);
}

int64_t holders_of(const PlannedParameter& p, const MeshShape& mesh) {
  return (p.over_tensor ? 1 : mesh.tensor) * (p.position ? 1 : mesh.sequence) *
         (p.layer < 0 ? mesh.pipeline : 1);
}

double rows_of_rank(const Share& s) {
  return static_cast<double>(s.rows) / static_cast<double>(s.mesh.data);
}

AttentionShare attention_share(const PlannedModel& m, const Share& s) {
  // Heads that do not share out evenly: the rank with one more.
  const auto over = [](int64_t whole, int64_t parts) {
    return static_cast<double>((whole + parts - 1) / parts);
  };
  return {rows_of_rank(s),
          over(m.tokens, s.mesh.sequence),
          over(m.heads, s.mesh.tensor),
          over(m.kv_heads, s.mesh.tensor),
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

// What the ops of a block keep (autograd/ops/), a token, in units of the activations' dtype:
//   4 C                    the two norms' inputs and outputs, whole on every rank of the tensor
//   axis (Z + 2 Z_kv) A         packed queries, keys and values Z A                    attention's
//   output 2 h, or 3 h for swiglu the feed-forward layer before and after its activation (Z + Z_kv)
//   A           again queries and keys, where each head is normalised
// and in f32 the norms' statistics. Dropout keeps nothing: its masks are drawn again.
double kept_of_block(const PlannedModel& m, const Share& s) {
  const AttentionShare a = attention_share(m, s);
  const auto tensor = static_cast<double>(s.mesh.tensor);
  const auto dim = static_cast<double>(m.dim), hidden = static_cast<double>(m.hidden) / tensor;
  const double packed = (a.heads + 2 * a.kv_heads) * a.head_dim;
  double values =
      4 * dim + packed + a.heads * a.head_dim + (m.gated ? 3 : 2) * hidden + m.branch_copies * dim;
  double f32_values = 2 * (m.rms ? 1 : 2);
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
/// the fused loss forms in the forward pass, its weight's once a step and not here).
double kept_outside(const PlannedModel& m, const Share& s, int64_t stage) {
  const AttentionShare a = attention_share(m, s);
  const double tokens = a.rows * a.tokens;
  const double stream =
      tokens * static_cast<double>(m.dim) * s.element_bytes / static_cast<double>(s.mesh.tensor);
  double bytes = 0.0;
  if (stage == 0) {
    bytes += m.input_values > 0 ? a.rows * static_cast<double>(m.input_values) * s.element_bytes
                                : tokens * 8;
    if (!m.norm_first) bytes += stream;  // what the embeddings' norm took in
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

/// The blocks' inputs; the first block of all has the stream alone.
double kept_under_checkpoint(const PlannedModel& m, const Share& s, int64_t stage) {
  const AttentionShare a = attention_share(m, s);
  const int64_t inputs = layers_of(m.layers, s.mesh.pipeline, stage) * m.kept_per_block -
                         (stage == 0 ? m.kept_per_block - 1 : 0);
  return a.rows * a.tokens * static_cast<double>(m.dim * inputs) * s.element_bytes;
}

/// What the last block's backward pass needs at the most: for its feed-forward layer the gradients
/// of the hidden features and the stream, or of both halves of a gate; or else for its attention,
/// when what the feed-forward layer kept is gone.
double backward_working(const PlannedModel& m, const Share& s) {
  const AttentionShare a = attention_share(m, s);
  const double hidden = static_cast<double>(m.hidden) / static_cast<double>(s.mesh.tensor);
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
  std::vector<int64_t> blocks(static_cast<size_t>(std::max<int64_t>(m.layers, 1)));
  for (const PlannedParameter& p : m.parameters) {
    if (!held_by(p, m, stages, stage)) continue;
    const int64_t elements = part_of(p, s.mesh);
    memory.parameters += dealt(elements, s, Sharding::parameters) * kF32;
    if (p.layer >= 0 && p.layer < m.layers) {
      largest_block = std::max(largest_block, blocks[static_cast<size_t>(p.layer)] += elements);
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
  const double layers = static_cast<double>(layers_of(m.layers, stages, stage));
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
