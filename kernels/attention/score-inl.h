// Score terms beyond scale and ALiBi (temperatures, soft-cap, bias, tables and rows of relative
// logits) on a tile. The plain path does not come here.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ATTENTION_SCORE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ATTENTION_SCORE_INL_H_
#undef HEED_KERNELS_ATTENTION_SCORE_INL_H_
#else
#define HEED_KERNELS_ATTENTION_SCORE_INL_H_
#endif

#include "kernels/attention/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {

/// What the terms give to the lanes of a query block.
struct LaneScores {
  HWY_ALIGN float scale[kQueries];    // query temperature
  HWY_ALIGN float added[kQueries];    // bias that is the same for all keys
  HWY_ALIGN int32_t place[kQueries];  // RelativeIndex::query
  struct Rows {                       // of relative logits
    HWY_ALIGN int32_t place[kQueries];
    HWY_ALIGN int32_t first[kQueries];  // where the query's entries begin
  };
  Rows relative[kRelativeAxes];
  Rows buckets;
};

/// One task's view of a score's terms, and the current tile's share of them.
class TileScores {
 public:
  using Index = hn::Vec<hn::RebindToSigned<F>>;

  TileScores(const Problem& p, const ScoreTerms<float>& terms, int64_t b)
      : p_(p),
        terms_(terms),
        b_(b),
        matrix_(terms.bias && terms.bias.i != 0 && terms.bias.j != 0),
        by_key_(terms.bias && !matrix_ && terms.bias.j != 0) {}

  bool active() const { return terms_.any(); }
  const ScoreTerms<float>& terms() const { return terms_; }
  /// The bias differs by query and by key; by key alone.
  bool matrix() const { return matrix_; }
  bool by_key() const { return by_key_; }

  void start(const QueryBlock& block, LaneScores& lanes) const {
    for (int64_t l = 0; l < kQueries; ++l) {
      const int64_t i = p_.plan.query_token(block.first + std::min(l, block.rows - 1));
      const auto at = static_cast<size_t>(l);
      lanes.scale[at] =
          terms_.query_temperature ? terms_.query_temperature.at(b_, block.head, i, 0) : 1.0f;
      lanes.added[at] =
          terms_.bias && !matrix_ && !by_key_ ? terms_.bias.at(b_, block.head, i, 0) : 0.0f;
      lanes.place[at] = place(terms_.table_index, i);
    }
    for (size_t a = 0; a < kRelativeAxes; ++a)
      if (terms_.relative_logits[a]) start_rows(block, terms_.relative_index[a], lanes.relative[a]);
  }

  /// Where the lanes' queries stand in rows of a [N, entries] tensor.
  void start_rows(const QueryBlock& block, const TableIndex& index, LaneScores::Rows& rows) const {
    for (int64_t l = 0; l < kQueries; ++l) {
      const int64_t i = p_.plan.query_token(block.first + std::min(l, block.rows - 1));
      rows.place[l] = place(index, i);
      rows.first[l] = static_cast<int32_t>(i * index.entries);
    }
  }

  /// What the lanes of vector w hold for key j in a head's [N, entries].
  HWY_INLINE V row_entries(const float* head, const TableIndex& index, const LaneScores::Rows& rows,
                           int64_t j, int w) const {
    const hn::RebindToSigned<F> di;
    const auto at = entries(index, hn::Load(di, rows.place + w * kLanes), j);
    return hn::GatherIndex(kF, head, hn::Add(at, hn::Load(di, rows.first + w * kLanes)));
  }

  /// Scores s = q.k of the tile to base-2 logits, -infinity where the pattern has no pair. With
  /// `slopes`, keeps d capped / d score there.
  void logits(const TileView& t, const LogitTerms& terms, const QueryBlock& block,
              const LaneScores& lanes, const float* positions, float* s, float* slopes) {
    const V cap = hn::Set(kF, static_cast<float>(terms_.softcap));
    const V over_cap =
        hn::Set(kF, static_cast<float>(terms_.softcap != 0 ? 1 / terms_.softcap : 0));
    const V log2e = hn::Set(kF, kLog2E), one = hn::Set(kF, 1.0f);
    const V hidden = hn::Neg(hn::Inf(kF)), slope = hn::Set(kF, terms.slope);
    if (matrix_) load_bias(t, block);
    for (int w = 0; w < t.vectors; ++w) {
      const V scale =
          hn::Mul(hn::Set(kF, terms.factor / kLog2E), hn::Load(kF, lanes.scale + w * kLanes));
      const V added = hn::Load(kF, lanes.added + w * kLanes);
      const V position = hn::Load(kF, positions + w * kLanes);
      t.for_rows(w, [&](int64_t begin, int64_t end) HWY_ATTR {
        for (int64_t r = begin; r < end; ++r) {
          const int64_t j = p_.plan.key_token(t.first_key + r), at = r * kQueries + w * kLanes;
          V x = hn::Mul(hn::Load(kF, s + at), scale);
          if (terms_.key_temperature)
            x = hn::Mul(x, hn::Set(kF, terms_.key_temperature.at(b_, block.head, 0, j)));
          if (terms_.softcap != 0.0) {
            const V bent = simd::HWY_NAMESPACE::tanh(kF, hn::Mul(x, over_cap));
            x = hn::Mul(cap, bent);
            if (slopes) hn::Store(hn::NegMulAdd(bent, bent, one), kF, slopes + at);
          }
          x = hn::Add(x, added);
          if (by_key_) x = hn::Add(x, hn::Set(kF, terms_.bias.at(b_, block.head, 0, j)));
          if (matrix_) x = hn::Add(x, hn::Load(kF, bias_ + at));
          if (terms_.table) x = hn::Add(x, table_entries(block.head, j, lanes, w));
          for (size_t a = 0; a < kRelativeAxes; ++a) {
            if (!terms_.relative_logits[a]) continue;
            const Broadcast4<float>& of = terms_.relative_logits[a];
            x = hn::Add(x, row_entries(of.data + b_ * of.b + block.head * of.h,
                                       terms_.relative_index[a], lanes.relative[a], j, w));
          }
          x = hn::Mul(x, log2e);
          x = hn::MulAdd(slope, hn::Sub(hn::Set(kF, static_cast<float>(j)), position), x);
          if (t.mask) x = hn::IfThenElse(t.seen(r, w), x, hidden);
          hn::Store(x, kF, s + at);
        }
      });
    }
  }

  /// The temperatures' product for row j and vector w.
  HWY_INLINE V temperature(const LaneScores& lanes, int64_t head, int64_t j, int w) const {
    const V q = hn::Load(kF, lanes.scale + w * kLanes);
    return terms_.key_temperature
               ? hn::Mul(q, hn::Set(kF, terms_.key_temperature.at(b_, head, 0, j)))
               : q;
  }

 private:
  static int32_t place(const TableIndex& index, int64_t i) {
    return index.relative ? index.relative->query[static_cast<size_t>(i)] : 0;
  }

  /// The entries of pairs of the lanes at `place` and key j.
  static HWY_INLINE Index entries(const TableIndex& index, Index place, int64_t j) {
    const hn::RebindToSigned<F> di;
    const RelativeIndex& relative = *index.relative;
    const auto clamp = [&](auto x, int64_t count) HWY_ATTR {
      return hn::Min(hn::Max(x, hn::Zero(di)), hn::Set(di, static_cast<int32_t>(count - 1)));
    };
    auto at = hn::Sub(hn::Set(di, relative.key[static_cast<size_t>(j)]), place);
    if (!relative.map.empty()) {
      at = clamp(at, static_cast<int64_t>(relative.map.size()));
      at = hn::GatherIndex(di, relative.map.data(), at);
    }
    return clamp(at, index.entries);
  }

  HWY_INLINE V table_entries(int64_t head, int64_t j, const LaneScores& lanes, int w) const {
    const auto place = hn::Load(hn::RebindToSigned<F>(), lanes.place + w * kLanes);
    return hn::GatherIndex(kF, terms_.table.data + head * terms_.table.h,
                           entries(terms_.table_index, place, j));
  }

  /// The tile's biases, rows of keys.
  void load_bias(const TileView& t, const QueryBlock& block) {
    const float* head = terms_.bias.data + b_ * terms_.bias.b + block.head * terms_.bias.h;
    const int32_t* order = p_.plan.key_order();
    for (int64_t l = 0; l < kQueries; ++l) {
      float* to = by_query_ + l * kKeys;
      if (l >= block.rows) {
        std::fill_n(to, kKeys, 0.0f);
        continue;
      }
      const float* from = head + p_.plan.query_token(block.first + l) * terms_.bias.i;
      if (order == nullptr) {
        std::copy_n(from + t.first_key, t.keys, to);
      } else {
        for (int64_t r = 0; r < t.keys; ++r) to[r] = from[order[t.first_key + r]];
      }
      std::fill(to + t.keys, to + kKeys, 0.0f);
    }
    transpose(by_query_, kKeys, kQueries, kKeys, bias_, kQueries);
  }

  const Problem& p_;
  const ScoreTerms<float>& terms_;
  int64_t b_;
  bool matrix_, by_key_;
  HWY_ALIGN float by_query_[kQueries * kKeys];
  HWY_ALIGN float bias_[kQueries * kKeys];
};

}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
