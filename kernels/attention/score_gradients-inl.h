// What a tile of the backward pass gives beside dQ, dK and dV: gradients of the score's tensors,
// and what a PairWalk asks for. Sums go to the task's part of ScoreSums, or to rows of their own.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ATTENTION_SCORE_GRADIENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ATTENTION_SCORE_GRADIENTS_INL_H_
#undef HEED_KERNELS_ATTENTION_SCORE_GRADIENTS_INL_H_
#else
#define HEED_KERNELS_ATTENTION_SCORE_GRADIENTS_INL_H_
#endif

#include "kernels/attention/backward_block-inl.h"
#include "kernels/attention/fused.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {

class ScoreGradients {
 public:
  /// Of one task; `x` holds the tile's P and dS.
  ScoreGradients(const BackwardCall& c, int64_t task, const TileScores& scores, BackwardBuffers& x)
      : c_(c),
        e_(c.p.e),
        plan_(c.p.plan),
        index_(task),
        b_(c.tasks.list[static_cast<size_t>(task)].b),
        scores_(scores),
        x_(x) {}

  /// Gradients of temperatures and of biases by query or by key alone, from dS of column w.
  void add_column(BackwardBlock& f, int w) {
    const ScoreSums& sums = c_.sums;
    if (!sums.any_by_query_or_key()) return;
    const ScoreTerms<float>& terms = c_.terms;
    const auto head = static_cast<size_t>(index_ * e_.group() + f.block.head % e_.group());
    const auto keys = static_cast<size_t>(e_.keys);
    float* dkey =
        sums.key_temperature.defined() ? sums.key_temperature.data<float>() + head * keys : nullptr;
    float* dbias = sums.key_bias.defined() ? sums.key_bias.data<float>() + head * keys : nullptr;
    const V scale = hn::Set(kF, f.terms.factor / kLog2E);
    const V query = hn::Load(kF, f.lanes.scale + w * kLanes);
    V dt = hn::Load(kF, f.dtemperature + w * kLanes), db = hn::Load(kF, f.dbias + w * kLanes);
    f.tile.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t at = r * kQueries + w * kLanes;
        const int64_t j = plan_.key_token(f.tile.first_key + r);
        const V ds = hn::Load(kF, x_.ds + at);
        db = hn::Add(db, ds);
        if (dbias) dbias[j] += hn::GetLane(hn::SumOfLanes(kF, ds));
        V dx = hn::Mul(scale, hn::Mul(ds, hn::Load(kF, x_.raw + at)));
        if (terms.softcap != 0.0) dx = hn::Mul(dx, hn::Load(kF, x_.slopes + at));
        if (dkey) dkey[j] += hn::GetLane(hn::SumOfLanes(kF, hn::Mul(dx, query)));
        if (terms.key_temperature)
          dx = hn::Mul(dx, hn::Set(kF, terms.key_temperature.at(b_, f.block.head, 0, j)));
        dt = hn::Add(dt, dx);
      }
    });
    hn::Store(dt, kF, f.dtemperature + w * kLanes);
    hn::Store(db, kF, f.dbias + w * kLanes);
  }

  /// What PairWalk adds to V dO^T, and multiplies it by.
  void change_value_products(const BackwardBlock& f) {
    const PairWalk<float>& walk = c_.walk;
    const int64_t head = b_ * e_.heads + f.block.head;
    for (int w = 0; w < f.tile.vectors; ++w) {
      f.tile.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
        for (int64_t r = begin; r < end; ++r) {
          float* at = x_.ds + r * kQueries + w * kLanes;
          const int64_t j = plan_.key_token(f.tile.first_key + r);
          V x = hn::Load(kF, at);
          if (walk.bucket_gradient) {
            const float* rows = walk.bucket_gradient + head * e_.queries * walk.index.entries;
            x = hn::Add(x, scores_.row_entries(rows, walk.index, f.lanes.buckets, j, w));
          }
          if (walk.key_factor) x = hn::Mul(x, hn::Set(kF, walk.key_factor[head * e_.keys + j]));
          hn::Store(x, kF, at);
        }
      });
    }
  }

  /// The extreme logits of rows, for PairWalk.
  void find_range(BackwardBlock& f, bool complete) {
    const V none = hn::Neg(hn::Inf(kF));
    for (int w = 0; w < f.tile.vectors; ++w) {
      const V by = hn::Set(
          kF, complete ? 1.0f : finish_logits(f.tile, plan_, f.terms, f.positions, w, x_.p));
      V least = hn::Load(kF, f.least + w * kLanes), largest = hn::Load(kF, f.largest + w * kLanes);
      f.tile.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
        for (int64_t r = begin; r < end; ++r) {
          const V x = hn::Mul(by, hn::Load(kF, x_.p + r * kQueries + w * kLanes));
          largest = hn::Max(largest, x);
          least = hn::Min(least, hn::IfThenElse(hn::Eq(x, none), least, x));
        }
      });
      hn::Store(least, kF, f.least + w * kLanes);
      hn::Store(largest, kF, f.largest + w * kLanes);
    }
  }

  /// dS by key and by row, for PairWalk.
  void add_key_and_row_sums(BackwardBlock& f) {
    const int64_t head = index_ * e_.group() + f.block.head % e_.group();
    float* by_key = c_.walk.key_sums ? c_.sums.columns.data<float>() + head * e_.keys : nullptr;
    for (int w = 0; w < f.tile.vectors; ++w) {
      V row = hn::Load(kF, f.dbias + w * kLanes);
      f.tile.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
        for (int64_t r = begin; r < end; ++r) {
          const V ds = hn::Load(kF, x_.ds + r * kQueries + w * kLanes);
          row = hn::Add(row, ds);
          if (by_key)
            by_key[plan_.key_token(f.tile.first_key + r)] += hn::GetLane(hn::SumOfLanes(kF, ds));
        }
      });
      hn::Store(row, kF, f.dbias + w * kLanes);
    }
  }

  /// dS of every pair into the gradients of tables, of relative logits and of a bias by query and
  /// key.
  void add_by_pair(const BackwardBlock& f) {
    const ScoreSums& sums = c_.sums;
    const ScoreTerms<float>& terms = c_.terms;
    const int64_t head = f.block.head, rows = (b_ * e_.heads + head) * e_.queries;
    for_pairs(f, sums.bias.defined(), [&](int64_t i, int64_t j, float ds) {
      sums.bias.data<float>()[b_ * terms.bias.b + head * terms.bias.h + i * terms.bias.i + j] += ds;
    });
    const auto table = static_cast<int64_t>(index_) * e_.group() + head % e_.group();
    for_pairs(f, sums.table.defined(), [&](int64_t i, int64_t j, float ds) {
      sums.table.data<float>()[table * terms.table_index.entries + terms.table_index(i, j)] += ds;
    });
    const auto add_row = [&](float* to, const TableIndex& index) {
      for_pairs(f, to != nullptr, [&](int64_t i, int64_t j, float ds) {
        to[(rows + i) * index.entries + index(i, j)] += ds;
      });
    };
    for (size_t a = 0; a < kRelativeAxes; ++a) {
      const Tensor& to = sums.relative_logits[a];
      add_row(to.defined() ? to.data<float>() : nullptr, terms.relative_index[a]);
    }
    add_row(c_.walk.bucket_sums, c_.walk.index);
  }

  /// dS to the gradient of q.k over the scale.
  void to_product_gradients(const BackwardBlock& f) {
    const ScoreTerms<float>& terms = c_.terms;
    if (terms.softcap == 0.0 && !terms.query_temperature && !terms.key_temperature) return;
    for (int w = 0; w < f.tile.vectors; ++w) {
      f.tile.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
        for (int64_t r = begin; r < end; ++r) {
          const int64_t at = r * kQueries + w * kLanes;
          const int64_t j = plan_.key_token(f.tile.first_key + r);
          V ds =
              hn::Mul(hn::Load(kF, x_.ds + at), scores_.temperature(f.lanes, f.block.head, j, w));
          if (terms.softcap != 0.0) ds = hn::Mul(ds, hn::Load(kF, x_.slopes + at));
          hn::Store(ds, kF, x_.ds + at);
        }
      });
    }
  }

  /// What the block's rows have added up, to its place.
  void store_rows(const BackwardBlock& f) {
    const int64_t row = (b_ * e_.heads + f.block.head) * e_.queries;
    for (int64_t l = 0; l < f.block.rows; ++l) {
      const int64_t token = plan_.query_token(f.block.first + l), i = row + token;
      const ScoreSums& sums = c_.sums;
      if (sums.query_temperature.defined())
        sums.query_temperature.data<float>()[i] = f.dtemperature[l];
      if (sums.query_bias.defined()) sums.query_bias.data<float>()[i] = f.dbias[l];
      if (c_.walk.row_sums) c_.walk.row_sums[i] = f.dbias[l];
      if (c_.walk.row_least) {
        c_.walk.row_least[i] = f.least[l] / kLog2E;
        c_.walk.row_largest[i] = f.largest[l] / kLog2E;
      }
      if (sums.sink.defined()) {
        const float logit = c_.terms.sink.at(b_, f.block.head, token, 0);
        sums.sink.data<float>()[i] = -std::exp(logit - f.lse[l] / kLog2E) * f.delta[l];
      }
    }
  }

 private:
  /// Calls fn(query, key, ds) for the tile's pairs.
  template <class Fn>
  void for_pairs(const BackwardBlock& f, bool wanted, const Fn& fn) const {
    if (!wanted) return;
    for (int64_t l = 0; l < f.block.rows; ++l) {
      const int64_t i = plan_.query_token(f.block.first + l);
      f.tile.for_rows(static_cast<int>(l) / kLanes, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          if (f.tile.mask && !((f.tile.mask->bits[static_cast<size_t>(r)] >> l) & 1)) continue;
          fn(i, plan_.key_token(f.tile.first_key + r), x_.ds[r * kQueries + l]);
        }
      });
    }
  }

  const BackwardCall& c_;
  const Extents& e_;
  const TilePlan& plan_;
  int64_t index_;
  int64_t b_;
  const TileScores& scores_;
  BackwardBuffers& x_;
};

}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
