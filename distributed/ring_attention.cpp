#include "distributed/ring_attention.h"

#include <limits>
#include <utility>

#include "autograd/ops/index.h"
#include "autograd/score_tensors.h"
#include "core/views.h"
#include "distributed/ring_buffers.h"
#include "distributed/ring_schedule.h"
#include "kernels/attention/call.h"
#include "kernels/attention/merge.h"
#include "kernels/attention/part.h"
#include "kernels/attention/tile_plan.h"
#include "kernels/elementwise/accumulate.h"

namespace heed {
namespace {

using kernels::AttentionGradients;
using kernels::AttentionOutput;
using kernels::PartSpec;
using kernels::ScoreWants;

enum Tag { kKeysTag = 1, kGradientsTag, kHomeTag };

/// One call, as this rank sees it.
struct Ring {
  Communicator& ranks;
  TokenLayout layout;
  int rank, size;
  PatternExtents whole;
  std::vector<TokenRun> queries;  // this rank's
  std::shared_ptr<const RingSchedule> schedule;

  Ring(const Tensor& q, const Tensor& k, const AttentionSpec& spec, Communicator& communicator,
       TokenLayout how)
      : ranks(communicator),
        layout(how),
        rank(communicator.rank()),
        size(communicator.size()),
        whole{q.size(0), q.size(1), q.size(2) * size, k.size(2) * size},
        queries(token_runs(how, whole.queries, size, rank)),
        schedule(ring_schedule(spec.pattern, whole, how, size)) {}

  int next() const { return (rank + 1) % size; }
  int previous() const { return (rank + size - 1) % size; }
  std::vector<TokenRun> keys(int chunk) const {
    return token_runs(layout, whole.keys, size, chunk);
  }
  /// This rank's rows of a run of queries.
  static Tensor rows(const Tensor& x, int64_t first, const TokenRun& run) {
    return x.defined() ? views::slice(x, 2, first, first + run.count) : x;
  }

  /// Calls fn(run number, its first row, part) for the parts of a chunk that hold pairs.
  template <class Fn>
  void for_parts(const AttentionSpec& spec, int chunk, const Fn& fn) const {
    const std::vector<TokenRun> chunk_runs = keys(chunk);
    int64_t first = 0;
    for (size_t i = 0; i < queries.size(); first += queries[i++].count) {
      for (size_t j = 0; j < chunk_runs.size(); ++j) {
        const AttentionPart part{queries[i], chunk_runs[j], whole.queries, whole.keys};
        const PatternExtents extents{whole.batch, whole.heads, part.queries.count, part.keys.count};
        const AttentionPattern pattern = AttentionPattern::part(spec.pattern, part);
        if (kernels::attn::tile_plan(pattern, extents)->pairs() > 0) fn(i, j, first, part);
      }
    }
  }

  /// The same for the parts without keys, which hold the sink and virtual keys.
  template <class Fn>
  void for_valueless(const AttentionSpec& spec, const Fn& fn) const {
    const bool virtual_keys = spec.pattern.rule() && spec.pattern.rule()->has_virtual_keys();
    if (!spec.score.sink.defined() && !virtual_keys) return;
    int64_t first = 0;
    for (size_t i = 0; i < queries.size(); first += queries[i++].count)
      fn(i, first, AttentionPart{queries[i], {}, whole.queries, whole.keys});
  }
};

/// Keys and values on their way: at each step the chunk that is here, while the next one comes.
class KeyRing {
 public:
  KeyRing(const Ring& ring, const ChunkShape& shape, const Tensor& k, const Tensor& v)
      : ring_(ring), shape_(shape), dtype_(k.dtype()), here_(shape, k, v) {}

  const ChunkBuffer& here() const { return here_; }

  void start(int step) {
    const RingSchedule& schedule = *ring_.schedule;
    if (schedule.sends(ring_.rank, step))
      under_way_.join(ring_.ranks.start_send(here_.all, ring_.next(), kKeysTag));
    if (step + 1 == ring_.size || !schedule.holds(ring_.rank, step + 1)) return;
    coming_ = ChunkBuffer(shape_, dtype_);
    under_way_.join(ring_.ranks.start_receive(coming_.all, ring_.previous(), kKeysTag));
  }
  void finish() {
    under_way_.wait();
    here_ = std::exchange(coming_, {});
  }

 private:
  const Ring& ring_;
  const ChunkShape& shape_;
  DType dtype_;
  ChunkBuffer here_, coming_;
  Work under_way_;
};

/// Gradients of keys and values on their way behind the chunks, and home.
class GradientRing {
 public:
  GradientRing(const Ring& ring, const ChunkShape& shape, DType dtype)
      : ring_(ring), shape_(shape), dtype_(dtype), own_(shape, dtype) {
    own_.clear_to_zero();
    const int last = ring.schedule->last_step(ring.rank);
    if (last == 0) return;
    home_ = ChunkBuffer(shape, dtype);
    coming_home_ = ring.ranks.start_receive(home_.all, (ring.rank + last) % ring.size, kHomeTag);
  }

  /// What this step's parts are added to; undefined where there are none.
  ChunkBuffer start(int step) {
    if (step == 0) return own_;
    const RingSchedule& schedule = *ring_.schedule;
    if (schedule.gathers(ring_.previous(), step - 1) && step > 1 &&
        schedule.holds(ring_.rank, step)) {
      came_ = ChunkBuffer(shape_, dtype_);
      coming_ = ring_.ranks.start_receive(came_.all, ring_.previous(), kGradientsTag);
    }
    mine_ = {};
    if (schedule.needs(ring_.rank, schedule.chunk(ring_.rank, step))) {
      mine_ = ChunkBuffer(shape_, dtype_);
      mine_.clear_to_zero();
    }
    return mine_;
  }

  /// Adds what came, and sends it on.
  void finish(int step) {
    if (step == 0) return;
    coming_.wait();
    ChunkBuffer sum = mine_.defined() ? mine_ : came_;
    if (mine_.defined() && came_.defined()) kernels::add_inplace(mine_.all, came_.all);
    mine_ = came_ = {};
    if (!sum.defined()) return;
    leaving_.wait();  // the one before
    sent_ = sum;
    const RingSchedule& schedule = *ring_.schedule;
    const int chunk = schedule.chunk(ring_.rank, step);
    const bool last = step == schedule.last_step(chunk);
    leaving_ = last ? ring_.ranks.start_send(sent_.all, chunk, kHomeTag)
                    : ring_.ranks.start_send(sent_.all, ring_.next(), kGradientsTag);
  }

  /// The gradients of this rank's own chunk.
  const ChunkBuffer& home() {
    coming_home_.wait();
    leaving_.wait();
    if (home_.defined()) kernels::add_inplace(own_.all, home_.all);
    home_ = {};
    return own_;
  }

 private:
  const Ring& ring_;
  const ChunkShape& shape_;
  DType dtype_;
  ChunkBuffer own_, home_, mine_, came_, sent_;
  Work coming_home_, coming_, leaving_;
};

AttentionOutput forward(const Ring& ring, const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionSpec& spec) {
  const DType statistics = kernels::attn::statistics_dtype(q.dtype());
  const int64_t batch = q.size(0), heads = q.size(1);
  std::vector<AttentionOutput> merged;
  for (const TokenRun& run : ring.queries) {
    merged.push_back({Tensor::zeros({batch, heads, run.count, v.size(3)}, statistics),
                      Tensor::full({batch, heads, run.count},
                                   -std::numeric_limits<double>::infinity(), statistics)});
  }
  const ChunkShape shape(k, v, ring.keys(ring.rank));
  KeyRing keys(ring, shape, k, v);
  for (int step = 0; step < ring.size; ++step) {
    keys.start(step);
    const ChunkBuffer& here = keys.here();
    const int chunk = ring.schedule->chunk(ring.rank, step);
    if (ring.schedule->needs(ring.rank, chunk)) {
      ring.for_parts(spec, chunk, [&](size_t i, size_t j, int64_t row, const AttentionPart& part) {
        const PartSpec how = kernels::part_spec(spec, part, row);
        kernels::merge_into(merged[i],
                            kernels::attention(Ring::rows(q, row, part.queries), here.keys[j],
                                               here.values[j], how.spec),
                            how.shift);
      });
    }
    keys.finish();
  }
  ring.for_valueless(spec, [&](size_t i, int64_t row, const AttentionPart& part) {
    kernels::merge_into(
        merged[i],
        kernels::attention(Ring::rows(q, row, part.queries), views::slice(k, 2, 0, 0),
                           views::slice(v, 2, 0, 0), kernels::part_spec(spec, part, row).spec));
  });
  const AttentionOutput to{
      kernels::attn::token_major(batch, heads, q.size(2), v.size(3), q.dtype()),
      Tensor::empty({batch, heads, q.size(2)}, statistics)};
  int64_t row = 0;
  for (size_t i = 0; i < merged.size(); row += ring.queries[i++].count) {
    kernels::copy(merged[i].out, Ring::rows(to.out, row, ring.queries[i]));
    kernels::copy(merged[i].lse, Ring::rows(to.lse, row, ring.queries[i]));
  }
  return to;
}

/// What the backward pass knows of a run of queries.
struct QueryRun {
  Tensor q, dout, dlse, dq;
  AttentionOutput forward;
};

struct WantedGradients {
  bool q = false, kv = false;
  ScoreWants score;
};

AttentionGradients backward(const Ring& ring, const Tensor& dout, const Tensor& dlse,
                            const Tensor& q, const Tensor& k, const Tensor& v,
                            const AttentionOutput& whole, const AttentionSpec& spec,
                            const WantedGradients& wanted) {
  const DType statistics = kernels::attn::statistics_dtype(q.dtype());
  std::vector<QueryRun> runs;
  int64_t first = 0;
  for (const TokenRun& run : ring.queries) {
    const auto rows = [&](const Tensor& x) { return Ring::rows(x, first, run); };
    runs.push_back({rows(q), rows(dout), rows(dlse), {}, {rows(whole.out), rows(whole.lse)}});
    runs.back().forward.lse = kernels::contiguous(runs.back().forward.lse);
    if (wanted.q) runs.back().dq = Tensor::zeros(runs.back().q.shape(), statistics);
    first += run.count;
  }
  AttentionGradients grads;
  kernels::attn::prepare_score_gradients(grads, spec.score, wanted.score, statistics);
  const auto part_backward = [&](size_t i, int64_t row, const AttentionPart& part,
                                 const Tensor& keys, const Tensor& values, bool want_kv) {
    const QueryRun& run = runs[i];
    const PartSpec how = kernels::part_spec(spec, part, row);
    const AttentionGradients of_part =
        kernels::attention_backward(run.dout, run.dlse, run.q, keys, values,
                                    {run.forward.out, kernels::part_lse(how, run.forward.lse)},
                                    how.spec, wanted.q, want_kv, {}, wanted.score);
    if (wanted.q) kernels::add_inplace(run.dq, of_part.dq);
    kernels::add_part_gradients(grads, of_part, part, row);
    return of_part;
  };
  const ChunkShape shape(k, v, ring.keys(ring.rank));
  KeyRing keys(ring, shape, k, v);
  std::optional<GradientRing> gradients;
  if (wanted.kv) gradients.emplace(ring, shape, statistics);
  for (int step = 0; step < ring.size; ++step) {
    keys.start(step);
    const ChunkBuffer& here = keys.here();
    const ChunkBuffer into = gradients ? gradients->start(step) : ChunkBuffer();
    const int chunk = ring.schedule->chunk(ring.rank, step);
    if (ring.schedule->needs(ring.rank, chunk)) {
      ring.for_parts(spec, chunk, [&](size_t i, size_t j, int64_t row, const AttentionPart& part) {
        const AttentionGradients of_part =
            part_backward(i, row, part, here.keys[j], here.values[j], wanted.kv);
        if (!wanted.kv) return;
        kernels::add_inplace(into.keys[j], of_part.dk);
        kernels::add_inplace(into.values[j], of_part.dv);
      });
    }
    if (gradients) gradients->finish(step);
    keys.finish();
  }
  if (wanted.score.sink) {
    ring.for_valueless(spec, [&](size_t i, int64_t row, const AttentionPart& part) {
      part_backward(i, row, part, views::slice(k, 2, 0, 0), views::slice(v, 2, 0, 0), false);
    });
  }
  if (wanted.q) {
    grads.dq = kernels::attn::token_major(q);
    first = 0;
    for (size_t i = 0; i < runs.size(); first += ring.queries[i++].count)
      kernels::copy(runs[i].dq, Ring::rows(grads.dq, first, ring.queries[i]));
  }
  if (wanted.kv) {
    grads.dk = kernels::attn::token_major(k), grads.dv = kernels::attn::token_major(v);
    gradients->home().copy_to(grads.dk, grads.dv);
  }
  return grads;
}

}  // namespace

AttentionSpec own_query_rows(const AttentionSpec& spec, const std::vector<int64_t>& positions,
                             int64_t queries) {
  const auto own = static_cast<int64_t>(positions.size());
  const auto rows = [&](Tensor& t, const char* name) {
    if (!t.defined() || t.size(2) == 1 || t.size(2) == own) return;
    HEED_CHECK(t.size(2) == queries, "attention: {} {} for {} queries, {} of them here", name, t,
               queries, own);
    t = index_select(t, 2, Tensor::from(positions, {own}));
  };
  AttentionSpec to = spec;
  rows(to.score.query_temperature, "query_temperature");
  rows(to.score.bias, "bias");
  if (to.score.sink.defined() && to.score.sink.rank() == 3) rows(to.score.sink, "sink");
  for (RelativeLogits& axis : to.score.relative_logits) rows(axis.logits, "relative_logits");
  return to;
}

AttentionResult ring_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                               const AttentionSpec& spec, Communicator& ranks, TokenLayout layout) {
  if (ranks.size() == 1) return attention(q, k, v, spec);
  HEED_CHECK(q.rank() == 4 && k.rank() == 4 && v.rank() == 4,
             "attention: q, k, v must be [B, H, N, D], got {}, {}, {}", q, k, v);
  HEED_CHECK(k.size(2) == v.size(2) && k.size(1) == v.size(1),
             "attention: k is {}, v is {}: heads and lengths differ", k, v);
  const int64_t size = ranks.size(), queries = q.size(2) * size;
  if (spec.dropout > 0.0 && !kernels::parts_draw_alike(spec.pattern, queries, k.size(2) * size)) {
    fail_request(
        "dropout of attention over tokens that ranks share: not with a pattern whose plan "
        "reorders tokens ({})",
        spec.pattern.text());
  }
  const AttentionSpec own =
      own_query_rows(spec, token_positions(layout, queries, size, ranks.rank()), queries);
  const Ring ring(q, k, own, ranks, layout);
  const AttentionOutput y = forward(ring, q, k, v, own);
  const auto outputs = record_many(
      "ring_attention", with_score({q, k, v}, own.score), {y.out, y.lse},
      [q = save(q), k = save(k), v = save(v), out = save(y.out), lse = save(y.lse),
       saved = SavedSpec(own), &ranks, layout](const Gradients& grads, const Wanted& wanted) {
        const AttentionSpec how = saved.restore();
        const Tensor dout =
            grads[0].defined() ? grads[0] : Tensor::zeros(out->shape(), out->dtype());
        const Ring again(*q, *k, how, ranks, layout);
        const auto g =
            backward(again, dout, grads[1], *q, *k, *v, {*out, *lse}, how,
                     {wanted[0], wanted[1] || wanted[2], score_wants(how.score, wanted, 3)});
        Gradients all{g.dq, g.dk, g.dv};
        append_score(all, g, how.score);
        return all;
      });
  return {outputs[0], outputs[1]};
}

}  // namespace heed
