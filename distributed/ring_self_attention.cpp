#include "distributed/ring_self_attention.h"

#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/attention/call.h"
#include "kernels/attention/part.h"
#include "kernels/attention/plan.h"
#include "kernels/copy/copy.h"
#include "kernels/matmul/matmul.h"

namespace heed {
namespace {

constexpr int kTag = 4;

/// What every pass needs. The query heads of a key head are rows of one matrix: [B, Hkv, R, D] with
/// R = H / Hkv times the rank's queries.
struct Rsa {
  Communicator& ranks;
  AttentionSpec spec;
  kernels::attn::Extents e;  // keys: of one chunk
  DType statistics;
  std::vector<int64_t> query_of;  // place in the sequence of each of this rank's queries
  std::vector<int64_t> key_of;    // and of each column of the scores, which stand by rank
  double scale;

  Rsa(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionSpec& how,
      Communicator& communicator, TokenLayout layout)
      : ranks(communicator),
        spec(how),
        e{q.size(0), q.size(1), k.size(1), q.size(2), k.size(2), q.size(3), v.size(3)},
        statistics(kernels::attn::statistics_dtype(q.dtype())),
        scale(kernels::attn::HeadScore(how.score, e, 0).scale) {
    const int size = ranks.size();
    query_of = token_positions(layout, e.queries * size, size, ranks.rank());
    for (int rank = 0; rank < size; ++rank)
      for (const int64_t key : token_positions(layout, e.keys * size, size, rank))
        key_of.push_back(key);
  }

  int64_t rows() const { return e.group() * e.queries; }
  int64_t columns() const { return e.keys * ranks.size(); }
  Tensor scores() const {
    return Tensor::empty({e.batch, e.kv_heads, rows(), columns()}, statistics);
  }
  /// [B, H, n, D] -> [B, Hkv, R, D], row-major.
  Tensor grouped(const Tensor& x) const {
    return views::reshape(kernels::contiguous(x), {e.batch, e.kv_heads, rows(), x.size(3)});
  }
  Tensor by_head(const Tensor& x) const {
    return views::reshape(x, {e.batch, e.heads, e.queries, x.size(3)});
  }
  /// The columns of rank j's keys.
  Tensor chunk(const Tensor& scores, int j) const {
    return views::slice(scores, 3, j * e.keys, (j + 1) * e.keys);
  }

  /// Calls fn(j, x_j) with the x of every rank j, while the next one comes.
  template <class Fn>
  void round(const Tensor& x, const Fn& fn) const {
    Tensor here = kernels::contiguous(x);
    for (int step = 0; step < ranks.size(); ++step) {
      Tensor coming;
      Work shift;
      if (step + 1 < ranks.size()) {
        coming = Tensor::empty(here.shape(), here.dtype());
        shift = ranks.start_ring_shift(here, coming, 1, kTag);
      }
      fn((ranks.rank() + ranks.size() - step) % ranks.size(), here);
      shift.wait();
      here = coming;
    }
  }

  /// Every rank's share of what belongs to the keys of all, scores^T x, summed at the keys' rank.
  Tensor sum_by_key(const Tensor& scores, const Tensor& x) const {
    const int size = ranks.size();
    const Tensor all = Tensor::empty({size, e.batch, e.kv_heads, e.keys, x.size(3)}, statistics);
    for (int j = 0; j < size; ++j)
      kernels::gemm(views::transpose(chunk(scores, j), 2, 3), x, views::select(all, 0, j));
    const Tensor own = Tensor::empty({1, e.batch, e.kv_heads, e.keys, x.size(3)}, statistics);
    ranks.reduce_scatter(all, own);
    return views::select(own, 0, 0);
  }

  /// Calls fn(batch, head, row of the [B, H, n] statistics, its query, its scores) for all rows.
  template <class A, class Fn>
  void for_rows(const Tensor& scores, const Fn& fn) const {
    parallel_for(e.batch * e.heads * e.queries, 8, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t bh = row / e.queries;
        fn(bh / e.heads, bh % e.heads, row, row % e.queries, scores.data<A>() + row * columns());
      }
    });
  }

  /// Scores q.k become probabilities, and the rows' log-sum-exps.
  template <class A>
  void softmax(const Tensor& scores, const Tensor& lse) const {
    constexpr A kNone = -std::numeric_limits<A>::infinity();
    for_rows<A>(scores, [&](int64_t b, int64_t h, int64_t row, int64_t query, A* s) {
      const double slope = kernels::attn::HeadScore(spec.score, e, h).slope;
      const int64_t i = query_of[static_cast<size_t>(query)];
      A most = kNone, sum = 0;
      for (int64_t c = 0; c < columns(); ++c) {
        const int64_t j = key_of[static_cast<size_t>(c)];
        const auto distance = static_cast<double>(i + spec.pattern.query_offset - j);
        s[c] = spec.pattern.allowed(b, h, i, j)
                   ? static_cast<A>(scale) * s[c] - static_cast<A>(slope * distance)
                   : kNone;
        most = std::max(most, s[c]);
      }
      const bool empty = most == kNone;
      for (int64_t c = 0; c < columns(); ++c) sum += s[c] = empty ? A{0} : std::exp(s[c] - most);
      for (int64_t c = 0; c < columns(); ++c) s[c] /= empty ? A{1} : sum;
      lse.data<A>()[row] = empty ? kNone : most + std::log(sum);
    });
  }

  /// Calls fn(c, factor) with what dropout multiplies the probabilities of a row by.
  template <class A, class Fn>
  void for_factors(const kernels::attn::DropoutMask& mask, int64_t query, const Fn& fn) const {
    const int64_t i = query_of[static_cast<size_t>(query)];
    for (int64_t c = 0; c < columns(); ++c) {
      const bool kept = spec.dropout == 0.0 || mask.keeps(i, key_of[static_cast<size_t>(c)]);
      fn(c, kept ? static_cast<A>(mask.keep_scale()) : A{0});
    }
  }

  /// The probabilities that weigh values, in the values' dtype: a new tensor under dropout.
  Tensor weights(const Tensor& probabilities, DType dtype) const {
    if (spec.dropout == 0.0) return kernels::cast(probabilities, dtype);
    const Tensor dropped = Tensor::empty(probabilities.shape(), statistics);
    kernels::copy(probabilities, dropped);
    in_statistics([&](auto number) {
      using A = decltype(number);
      for_rows<A>(dropped, [&](int64_t b, int64_t h, int64_t, int64_t query, A* p) {
        const kernels::attn::DropoutMask mask(spec, b, h);
        for_factors<A>(mask, query, [&](int64_t c, A factor) { p[c] *= factor; });
      });
    });
    return kernels::cast(dropped, dtype);
  }

  /// dp becomes d(q.k) = scale p (factor dp - delta), delta = do.o - dlse.
  template <class A>
  void softmax_backward(const Tensor& dp, const Tensor& probabilities, const Tensor& delta) const {
    for_rows<A>(dp, [&](int64_t b, int64_t h, int64_t row, int64_t query, A* d) {
      const kernels::attn::DropoutMask mask(spec, b, h);
      const A* p = probabilities.data<A>() + row * columns();
      const A less = delta.data<A>()[row];
      for_factors<A>(mask, query, [&](int64_t c, A factor) {
        d[c] = static_cast<A>(scale) * p[c] * (factor * d[c] - less);
      });
    });
  }

  template <class Fn>
  void in_statistics(const Fn& fn) const {
    if (statistics == DType::f64)
      fn(double{});
    else
      fn(float{});
  }
};

/// sum_d a b of each row, less `less` where it is defined: [B, H, n].
Tensor row_products(const Tensor& a, const Tensor& b, const Tensor& less, DType dtype) {
  const Tensor x = kernels::contiguous_as(a, dtype), y = kernels::contiguous_as(b, dtype);
  const Tensor sums = Tensor::zeros({a.size(0), a.size(1), a.size(2)}, dtype);
  const Tensor minus = less.defined() ? kernels::contiguous_as(less, dtype) : less;
  const auto add = [&](auto number) {
    using A = decltype(number);
    const int64_t width = a.size(3);
    for (int64_t row = 0; row < sums.numel(); ++row) {
      A sum = minus.defined() ? -minus.data<A>()[row] : A{0};
      for (int64_t d = 0; d < width; ++d)
        sum += x.data<A>()[row * width + d] * y.data<A>()[row * width + d];
      sums.data<A>()[row] = sum;
    }
  };
  if (dtype == DType::f64)
    add(double{});
  else
    add(float{});
  return sums;
}

void refuse_terms(const AttentionSpec& spec, int64_t queries, int64_t keys) {
  const AttentionScore& s = spec.score;
  bool terms = s.softcap != 0.0 || s.query_temperature.defined() || s.key_temperature.defined() ||
               s.bias.defined() || s.table.defined() || s.sink.defined();
  for (const RelativeLogits& axis : s.relative_logits) terms = terms || axis.logits.defined();
  if (terms) {
    fail_request(
        "ring self-attention (rsa) has no terms of the score beside its scale and slopes "
        "by position: ring or heads do");
  }
  if (spec.pattern.rule() && spec.pattern.rule()->has_virtual_keys())
    fail_request("ring self-attention (rsa) has no virtual keys: {}", spec.pattern.text());
  if (spec.dropout > 0.0 && !kernels::parts_draw_alike(spec.pattern, queries, keys)) {
    fail_request(
        "dropout of attention over tokens that ranks share: not with a pattern whose plan "
        "reorders tokens ({})",
        spec.pattern.text());
  }
}

}  // namespace

AttentionResult ring_self_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionSpec& spec, Communicator& ranks,
                                    TokenLayout layout) {
  if (ranks.size() == 1) return attention(q, k, v, spec);
  HEED_CHECK(q.rank() == 4 && k.rank() == 4 && v.rank() == 4 && k.size(1) == v.size(1) &&
                 k.size(2) == v.size(2) && k.size(1) > 0 && q.size(1) % k.size(1) == 0,
             "attention: q, k, v must be [B, H, N, D], got {}, {}, {}", q, k, v);
  const int64_t queries = q.size(2) * ranks.size(), keys = k.size(2) * ranks.size();
  refuse_terms(spec, queries, keys);
  if (spec.pattern.rule()) spec.pattern.rule()->check({q.size(0), q.size(1), queries, keys});
  const Rsa rsa(q, k, v, spec, ranks, layout);

  const Tensor p = rsa.scores(), rows = rsa.grouped(q);
  const Tensor lse = Tensor::empty({q.size(0), q.size(1), q.size(2)}, rsa.statistics);
  rsa.round(k, [&](int j, const Tensor& key) {
    kernels::gemm(rows, views::transpose(key, 2, 3), rsa.chunk(p, j));
  });
  rsa.in_statistics([&](auto number) { rsa.softmax<decltype(number)>(p, lse); });
  const Tensor weights = rsa.weights(p, q.dtype());
  const Tensor sums = Tensor::zeros({q.size(0), k.size(1), rsa.rows(), v.size(3)}, rsa.statistics);
  rsa.round(v, [&](int j, const Tensor& value) {
    kernels::gemm(rsa.chunk(weights, j), value, sums, {.accumulate = true});
  });
  const Tensor out =
      kernels::attn::token_major(q.size(0), q.size(1), q.size(2), v.size(3), q.dtype());
  kernels::copy(rsa.by_head(sums), out);

  const auto outputs = record_many(
      "ring_self_attention", {q, k, v}, {out, lse},
      [q = save(q), k = save(k), v = save(v), out = save(out), p = save(p), rsa](
          const Gradients& grads, const Wanted&) {
        const DType dtype = q->dtype();
        const Tensor dout =
            grads[0].defined() ? grads[0] : Tensor::zeros(out->shape(), out->dtype());
        const Tensor drows = kernels::cast(rsa.grouped(dout), dtype), qrows = rsa.grouped(*q);
        const Tensor ds = rsa.scores();
        rsa.round(*v, [&](int j, const Tensor& value) {
          kernels::gemm(drows, views::transpose(value, 2, 3), rsa.chunk(ds, j));
        });
        const Tensor dv = rsa.sum_by_key(rsa.weights(*p, dtype), drows);
        const Tensor delta = row_products(dout, *out, grads[1], rsa.statistics);
        rsa.in_statistics(
            [&](auto number) { rsa.softmax_backward<decltype(number)>(ds, *p, delta); });
        const Tensor dscores = kernels::cast(ds, dtype);
        const Tensor dq = Tensor::zeros(qrows.shape(), rsa.statistics);
        rsa.round(*k, [&](int j, const Tensor& key) {
          kernels::gemm(rsa.chunk(dscores, j), key, dq, {.accumulate = true});
        });
        const Tensor dk = rsa.sum_by_key(dscores, qrows);
        return Gradients{kernels::cast(rsa.by_head(dq), dtype), kernels::cast(dk, dtype),
                         kernels::cast(dv, dtype)};
      });
  return {outputs[0], outputs[1]};
}

}  // namespace heed
