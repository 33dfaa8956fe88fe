// Walks of the backward pass with values and output gradients of one feature: with ones for both,
// and no delta, what it holds for a pair instead of dS is the probability itself.
#include "kernels/attention/probabilities.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "core/views.h"
#include "core/work.h"
#include "kernels/attention/call.h"
#include "kernels/attention/fused.h"
#include "kernels/attention/reference.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/elementwise/binary.h"
#include "kernels/reduce/reduce.h"

namespace heed::kernels {
namespace {

using attn::Extents;
using attn::PairWalk;
using attn::Problem;
using attn::statistics_dtype;

Tensor ones(const Shape& shape, DType dtype) { return Tensor::full(shape, 1.0, dtype); }

/// q and k with a column of ones for values.
class Walk {
 public:
  Walk(const Tensor& q, const Tensor& k, const AttentionSpec& spec)
      : q_(with_rows(q)),
        k_(with_rows(k)),
        v_(ones({k.size(0), k.size(1), k.size(2), 1}, k.dtype())),
        problem_(attn::make_problem(q_, k_, v_, spec)) {}

  const Extents& extents() const { return problem_.e; }
  DType dtype() const { return statistics_dtype(q_.dtype()); }
  Shape rows() const { return {problem_.e.batch, problem_.e.heads, problem_.e.queries}; }
  Shape columns() const { return {problem_.e.batch, problem_.e.heads, problem_.e.keys}; }
  Tensor zeros(const Shape& shape) const { return Tensor::zeros(shape, dtype()); }
  /// t, of that shape, contiguous in the dtype of statistics.
  Tensor checked(const Tensor& t, const Shape& shape, const char* what) const {
    HEED_CHECK(t.shape() == shape, "attention: {} of {} queries and {} keys is {}, wants {}", what,
               problem_.e.queries, problem_.e.keys, t, shape);
    return contiguous_as(t, dtype());
  }

  /// `weight` [B, H, N] as the walk multiplies by it: rounded to q's dtype. Undefined: ones.
  Tensor weights(const Tensor& weight) const {
    if (!weight.defined()) return weight;
    return contiguous_as(contiguous_as(checked(weight, rows(), "weight"), q_.dtype()), dtype());
  }
  /// Throws where `index` does not fit, or the sums [N, entries] of a head are too many to count.
  void check_buckets(const RelativeIndex& index, int64_t entries) const {
    attn::check_index(index, entries, problem_.e);
    HEED_CHECK(entries < INT32_MAX / std::max<int64_t>(problem_.e.queries, 1),
               "attention: bucket sums of {} queries and {} entries, which are 2^31 or more",
               problem_.e.queries, entries);
  }

  /// Places for dq, dk and the score's gradients, as far as they are wanted.
  AttentionGradients gradients(const AttentionScore& score, const ScoreWants& wants, bool want_q,
                               bool want_k) const {
    AttentionGradients grads;
    if (want_q) grads.dq = Tensor::empty(q_.shape(), q_.dtype());
    if (want_k) {
      grads.dk = Tensor::empty(k_.shape(), k_.dtype());
      grads.dv = Tensor::empty(v_.shape(), v_.dtype());
    }
    attn::prepare_score_gradients(grads, score, wants, dtype());
    return grads;
  }

  /// Walks the pairs. dP is `weight` [B, H, N] (undefined: ones), changed by what `fill` sets;
  /// delta is -dlse [B, H, N] (undefined: 0).
  template <class Fill>
  void run(const Tensor& lse, const Tensor& weight, const Tensor& dlse,
           const AttentionGradients& grads, const Fill& fill) const {
    const Extents& e = problem_.e;
    const Shape shape{e.batch, e.heads, e.queries, 1};
    const Tensor dout = weight.defined() ? views::reshape(contiguous_as(weight, q_.dtype()), shape)
                                         : ones(shape, q_.dtype());
    const AttentionOutput forward{{}, checked(lse, rows(), "lse")};
    const double products =
        1.0 + (grads.dq.defined() ? 1.0 : 0.0) + (grads.dk.defined() ? 1.0 : 0.0);
    count_flops(2.0 * products * static_cast<double>(problem_.plan.pairs() * e.head_dim));
    if (q_.dtype() == DType::f64) {
      PairWalk<double> walk;
      fill(walk);
      attn::reference_backward(problem_, dout, dlse, q_, k_, v_, forward, grads, walk);
    } else {
      PairWalk<float> walk;
      fill(walk);
      attn::fused_backward(problem_, dout, dlse, q_, k_, v_, forward, grads, walk);
    }
  }

 private:
  static Tensor with_rows(const Tensor& x) {
    HEED_CHECK(x.rank() == 4, "attention: wants [B, H, N, D], got {}", x);
    return attn::with_contiguous_rows(x);
  }

  Tensor q_, k_, v_;
  Problem problem_;
};

/// The data of `t` as what a walk's pointer points to.
template <class A>
void point(A*& at, const Tensor& t) {
  at = t.data<std::remove_const_t<A>>();
}

AttentionSpec without_dropout(AttentionSpec spec) {
  spec.dropout = 0.0;
  return spec;
}

}  // namespace

Tensor attention_column_sums(const Tensor& q, const Tensor& k, const Tensor& lse,
                             const AttentionSpec& spec, const Tensor& weight) {
  const AttentionSpec whole = without_dropout(spec);
  const Walk walk(q, k, whole);
  const Tensor sums = walk.zeros(walk.columns());
  walk.run(lse, walk.weights(weight), {}, {}, [&](auto& w) { point(w.key_sums, sums); });
  return sums;
}

// Row i: o_i = sum_j p_ij dc_j, so that dw_i = o_i and ds_ij = p_ij (w_i dc_j - w_i o_i).
ColumnSumGradients attention_column_sums_backward(const Tensor& dsums, const Tensor& q,
                                                  const Tensor& k, const Tensor& lse,
                                                  const AttentionSpec& spec, const Tensor& weight,
                                                  const ScoreWants& wants, bool want_q,
                                                  bool want_k) {
  const AttentionSpec whole = without_dropout(spec);
  const Walk walk(q, k, whole);
  const Tensor by_key = walk.checked(dsums, walk.columns(), "the gradient of column sums");
  const Tensor weights = walk.weights(weight);
  ColumnSumGradients result{{}, walk.zeros(walk.rows())};
  walk.run(lse, {}, {}, {}, [&](auto& w) {
    point(w.key_factor, by_key);
    point(w.row_sums, result.dweight);
  });
  const Tensor delta =
      weight.defined() ? binary(Binary::mul, weights, result.dweight) : result.dweight;
  result.inputs = walk.gradients(spec.score, wants, want_q, want_k);
  walk.run(lse, weights, binary(Binary::mul, delta, -1.0), result.inputs,
           [&](auto& w) { point(w.key_factor, by_key); });
  return result;
}

Tensor attention_bucket_sums(const Tensor& q, const Tensor& k, const Tensor& lse,
                             const AttentionSpec& spec, const RelativeIndex& index,
                             int64_t entries) {
  const Walk walk(q, k, spec);
  const Extents& e = walk.extents();
  walk.check_buckets(index, entries);
  const Tensor sums = walk.zeros({e.batch, e.heads, e.queries, entries});
  walk.run(lse, {}, {}, {}, [&](auto& w) {
    w.index = {&index, entries};
    point(w.bucket_sums, sums);
  });
  return sums;
}

AttentionGradients attention_bucket_sums_backward(const Tensor& dsums, const Tensor& sums,
                                                  const Tensor& q, const Tensor& k,
                                                  const Tensor& lse, const AttentionSpec& spec,
                                                  const RelativeIndex& index,
                                                  const ScoreWants& wants, bool want_q,
                                                  bool want_k) {
  const Walk walk(q, k, spec);
  const Extents& e = walk.extents();
  HEED_CHECK(sums.rank() == 4, "attention: bucket sums are [B, H, N, entries], got {}", sums);
  const int64_t entries = sums.size(3);
  walk.check_buckets(index, entries);
  const Tensor by_bucket =
      walk.checked(dsums, {e.batch, e.heads, e.queries, entries}, "the gradient of bucket sums");
  const Tensor delta = sum(binary(Binary::mul, by_bucket, sums), {3}, false);
  AttentionGradients grads = walk.gradients(spec.score, wants, want_q, want_k);
  walk.run(lse, walk.zeros(walk.rows()), binary(Binary::mul, delta, -1.0), grads, [&](auto& w) {
    w.index = {&index, entries};
    point(w.bucket_gradient, by_bucket);
  });
  return grads;
}

LogitRange attention_logit_range(const Tensor& q, const Tensor& k, const AttentionSpec& spec) {
  const AttentionSpec whole = without_dropout(spec);
  const Walk walk(q, k, whole);
  const double far = std::numeric_limits<double>::infinity();
  const Tensor least = Tensor::full(walk.rows(), far, walk.dtype());
  const Tensor largest = Tensor::full(walk.rows(), -far, walk.dtype());
  walk.run(walk.zeros(walk.rows()), {}, {}, {}, [&](auto& w) {
    point(w.row_least, least);
    point(w.row_largest, largest);
  });
  const Shape heads{least.size(0), least.size(1)};
  if (walk.extents().queries == 0)
    return {Tensor::full(heads, far, walk.dtype()), Tensor::full(heads, -far, walk.dtype())};
  return {views::reshape(min_along(least, 2).first, heads),
          views::reshape(max_along(largest, 2).first, heads)};
}

}  // namespace heed::kernels
