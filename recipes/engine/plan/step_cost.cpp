#include "recipes/engine/plan/step_cost.h"

#include <algorithm>

#include "distributed/pipeline.h"

namespace heed::recipes {
namespace {

constexpr double kF32 = 4.0;

/// Ranks from the first to the last of an axis, counted as the mesh places them: an axis lies
/// within a host while its span does.
struct Spans {
  int64_t tensor, sequence, pipeline, data;
};

Spans spans_of(const MeshShape& mesh) {
  const int64_t tensor = mesh.tensor, sequence = tensor * mesh.sequence;
  const int64_t pipeline = sequence * mesh.pipeline;
  return {tensor, sequence, pipeline, pipeline * mesh.data};
}

double seconds(const AxisTraffic& traffic, int64_t span, const MachineDescription& machine) {
  if (traffic.bytes == 0.0) return 0.0;
  const bool inside = span <= machine.ranks_per_host;
  const double bandwidth = inside ? machine.link_gb_s : machine.network_gb_s;
  if (bandwidth <= 0.0) {
    fail_request("machine {}: it says nothing of the network between hosts (network_gb_s)",
                 machine.name);
  }
  return traffic.bytes / (1e9 * bandwidth) +
         1e-6 * traffic.messages * (inside ? machine.link_us : machine.network_us);
}

double stage_layers(const PlannedModel& m, const Share& s) {
  return static_cast<double>(blocks_of_stage(m.layers, s.mesh.pipeline, 0).size());
}

}  // namespace

StepTraffic step_traffic(const PlannedModel& m, const Share& s) {
  StepTraffic traffic;
  const MeshShape& mesh = s.mesh;
  const auto micro = static_cast<double>(s.micro_batches);
  const AttentionShare a = attention_share(m, s);
  const double tokens = a.rows * a.tokens;

  // Gradients are summed over all that hold the same part, once a step. Shards are reduce-scattered
  // over the data axis, from level `gradients` on after each micro-batch, and summed over the other
  // holders; parameters come back once a step or, when they stay apart, twice a micro-batch.
  const auto data = static_cast<double>(mesh.data);
  const bool sharded = s.sharding != Sharding::none && mesh.data > 1;
  const double passes = s.sharding == Sharding::parameters  ? 3 * micro
                        : s.sharding == Sharding::gradients ? micro + 1
                                                            : 2;
  double most = 0.0, farthest = 1.0;
  for (int64_t stage = 0; stage < mesh.pipeline; ++stage) {
    double bytes = 0.0;
    for (const PlannedParameter& p : m.parameters) {
      if (!p.trained || !held_by(p, m, mesh.pipeline, stage)) continue;
      const double gradient = static_cast<double>(part_of(p, mesh)) * kF32;
      const auto others = static_cast<double>(holders_of(p, mesh));
      farthest = std::max(farthest, data * others);
      bytes += sharded ? passes * sent_by_reduce_scatter(gradient, data) +
                             sent_by_all_reduce(gradient / data, others)
                       : sent_by_all_reduce(gradient, data * others);
    }
    most = std::max(most, bytes);
  }
  if (most > 0.0) traffic.data = {most, (sharded ? passes : 2) * (farthest - 1)};
  if (m.known && mesh.sequence > 1) {
    const SentInLayer sent = sent_by_sequence(s.method, a, s.element_bytes);
    const double again = s.checkpointing ? 2 : 1;
    const double layers = stage_layers(m, s) * micro;
    traffic.sequence = {layers * (again * sent.forward_bytes + sent.backward_bytes),
                        layers * sent.messages * (s.checkpointing ? 1.5 : 1)};
  }
  if (m.known && mesh.tensor > 1) {
    const auto n = static_cast<double>(mesh.tensor);
    const double again = s.checkpointing ? 1.5 : 1;
    const double layers = stage_layers(m, s) * micro * again;
    traffic.tensor = {
        layers * sent_by_tensor(a.rows, a.tokens, static_cast<double>(m.dim), n, s.element_bytes),
        layers * 8 * (n - 1)};
    // Keys and values of a head that ranks have together are gathered, their gradients scattered.
    const auto sharers = static_cast<double>(sharers_of_key_head(m, mesh.tensor));
    traffic.tensor.bytes +=
        layers * 4 * sent_by_reduce_scatter(tokens * a.head_dim * s.element_bytes, sharers);
    traffic.tensor.messages += layers * 4 * (sharers - 1);
    // Embedding and head: the stream gathered or summed once each way.
    traffic.tensor.bytes +=
        micro * 2 * sent_by_all_reduce(tokens * static_cast<double>(m.dim) * s.element_bytes, n);
  }
  if (mesh.pipeline > 1) {
    // A middle stage sends its output on, as one sum, and its input's gradient back.
    const double width = stream_width(m, s);
    const double both = mesh.pipeline > 2 ? 2 : 1;
    traffic.pipeline = {both * micro * tokens * width * s.element_bytes, both * micro};
  }
  return traffic;
}

double rank_flops(const PlannedModel& m, const Share& s) {
  const MeshShape& mesh = s.mesh;
  const double passes = s.checkpointing ? 4.0 : 3.0;
  const double stages = static_cast<double>(mesh.pipeline);
  const double of_stage =
      m.layers > 0 ? stage_layers(m, s) * stages / static_cast<double>(m.layers) : 1.0;
  const double rows = rows_of_rank(s) * static_cast<double>(s.micro_batches);
  // Attention's backward pass recomputes the scores: 10 instead of 8 operations to 4 forward.
  const double attention = m.attention_flops() * (passes + 0.5);
  return rows * of_stage * (passes * m.matrix_flops() + attention) /
         static_cast<double>(mesh.pipeline * mesh.sequence * mesh.tensor);
}

StepTime step_time(const PlannedModel& m, const Share& s, const MachineDescription& machine,
                   const std::string& precision) {
  StepTime time;
  const MeshShape& mesh = s.mesh;
  const double rate = machine.flops(precision), memory_rate = 1e9 * machine.memory_gb_s;
  const double flops = rank_flops(m, s);
  time.products = flops / rate;

  // What is kept was written once, is read again, and has gradients that are written and read; the
  // optimiser reads parameter, gradient and moments and writes all but the gradient.
  const RankMemory memory = rank_memory(m, s, 0);
  const double layers = stage_layers(m, s);
  const double kept = m.known ? layers * kept_of_block(m, s) : m.measured_bytes * rows_of_rank(s);
  const double optimizer_bytes =
      2.0 * static_cast<double>(memory.optimizer) +
      static_cast<double>(memory.optimizer > 0 ? 3 * memory.gradients : 3 * memory.parameters);
  time.memory = (4.0 * kept * static_cast<double>(s.micro_batches) + optimizer_bytes) / memory_rate;

  const StepTraffic traffic = step_traffic(m, s);
  const Spans spans = spans_of(mesh);
  const double compute = time.products + time.memory;
  const auto micro = static_cast<double>(s.micro_batches);
  // Gradients hide behind the last micro-batch's backward pass, gathered parameters behind all.
  const double behind = s.sharding == Sharding::parameters ? compute : compute * 2 / 3 / micro;
  time.data = std::max(0.0, seconds(traffic.data, spans.data, machine) - behind);
  if (mesh.sequence > 1) {
    const double attention =
        m.attention_flops() / std::max(1.0, m.attention_flops() + m.matrix_flops());
    const double hidden = s.method == SequenceMethod::heads ? 0.0 : attention * compute;
    time.sequence = std::max(0.0, seconds(traffic.sequence, spans.sequence, machine) - hidden);
  }
  time.tensor = seconds(traffic.tensor, spans.tensor, machine);
  time.pipeline = seconds(traffic.pipeline, spans.pipeline, machine);
  if (mesh.pipeline > 1) {
    const double busy = compute + time.sequence + time.tensor + time.pipeline;
    const double share = bubble(mesh.pipeline, s.micro_batches);
    time.waiting = busy * share / (1 - share);
  }
  return time;
}

}  // namespace heed::recipes
