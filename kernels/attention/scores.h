// The tensors of a score as the kernels read them: converted once, broadcast through zero strides.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/tensor.h"
#include "kernels/attention/attention.h"

namespace heed::kernels::attn {

struct Extents;

/// Element (b, h, i, j) of a tensor that broadcasts along some of them.
template <class A>
struct Broadcast4 {
  const A* data = nullptr;
  int64_t b = 0, h = 0, i = 0, j = 0;  // strides
  A at(int64_t bb, int64_t hh, int64_t ii, int64_t jj) const {
    return data[bb * b + hh * h + ii * i + jj * j];
  }
  explicit operator bool() const { return data != nullptr; }
};

/// Entries that pairs look up.
struct TableIndex {
  const RelativeIndex* relative = nullptr;
  int64_t entries = 0;

  /// The entry of a pair.
  int64_t operator()(int64_t i, int64_t j) const {
    int64_t index = relative->key[static_cast<size_t>(j)] - relative->query[static_cast<size_t>(i)];
    const auto& map = relative->map;
    if (!map.empty()) {
      index = map[static_cast<size_t>(
          std::clamp<int64_t>(index, 0, static_cast<int64_t>(map.size()) - 1))];
    }
    return std::clamp<int64_t>(index, 0, entries - 1);
  }
};

/// Throws unless the index covers the problem's tokens and `entries` is something to look up.
void check_index(const RelativeIndex& index, int64_t entries, const Extents& e);

/// Contiguous copies of a score's tensors in the dtype of statistics, all rank 4; shapes checked.
struct ScoreTensors {
  Tensor query_temperature, key_temperature, bias, table, sink;
  std::array<Tensor, kRelativeAxes> relative_logits;

  ScoreTensors(const AttentionScore& score, const Extents& e, DType dtype);
};

/// One problem's score: what AttentionScore describes, ready to compute with.
template <class A>
struct ScoreTerms {
  double softcap = 0.0;
  Broadcast4<A> query_temperature, key_temperature, bias, table, sink;
  TableIndex table_index;
  std::array<Broadcast4<A>, kRelativeAxes> relative_logits;
  std::array<TableIndex, kRelativeAxes> relative_index;

  ScoreTerms(const AttentionScore& score, const ScoreTensors& t)
      : softcap(score.softcap),
        query_temperature(view(t.query_temperature)),
        key_temperature(view(t.key_temperature)),
        bias(view(t.bias)),
        table(view(t.table)),
        sink(view(t.sink)),
        table_index{score.relative.get(), t.table.defined() ? t.table.size(3) : 0} {
    for (size_t a = 0; a < kRelativeAxes; ++a) {
      const Tensor& logits = t.relative_logits[a];
      if (!logits.defined()) continue;
      relative_logits[a] = view(logits);
      relative_index[a] = {score.relative_logits[a].relative.get(), logits.size(3)};
    }
  }

  /// Whether the logits need more than scale, ALiBi and the pattern.
  bool any() const {
    return softcap != 0.0 || query_temperature || key_temperature || bias || table ||
           std::any_of(relative_logits.begin(), relative_logits.end(),
                       [](const auto& logits) { return bool(logits); });
  }
  A temperature(int64_t b, int64_t h, int64_t i, int64_t j) const {
    const A q = query_temperature ? query_temperature.at(b, h, i, 0) : A{1};
    return key_temperature ? q * key_temperature.at(b, h, 0, j) : q;
  }
  /// What is added to a capped score.
  A added(int64_t b, int64_t h, int64_t i, int64_t j) const {
    A sum = bias ? bias.at(b, h, i, j) : A{0};
    if (table) sum += table.at(0, h, 0, table_index(i, j));
    for (size_t a = 0; a < kRelativeAxes; ++a)
      if (relative_logits[a]) sum += relative_logits[a].at(b, h, i, relative_index[a](i, j));
    return sum;
  }
  A capped(A x) const {
    if (softcap == 0.0) return x;
    const A cap = static_cast<A>(softcap);
    return cap * std::tanh(x / cap);
  }
  /// d capped / dx, from the capped score.
  A slope(A capped) const {
    if (softcap == 0.0) return A{1};
    const A t = capped / static_cast<A>(softcap);
    return A{1} - t * t;
  }

 private:
  static Broadcast4<A> view(const Tensor& t) {
    if (!t.defined()) return {};
    const auto stride = [&](int d) { return t.size(d) == 1 ? int64_t{0} : t.stride(d); };
    return {t.data<A>(), stride(0), stride(1), stride(2), stride(3)};
  }
};

/// The logit of what has no value in the row of query i (the sink, and `count` virtual keys of
/// logit 0); -infinity without either.
template <class A>
A valueless_logit(const ScoreTerms<A>& terms, int64_t b, int64_t h, int64_t i, int64_t count) {
  const A none = -std::numeric_limits<A>::infinity();
  const A a = terms.sink ? terms.sink.at(b, h, i, 0) : none;
  const A v = count > 0 ? std::log(static_cast<A>(count)) : none;
  const A most = std::max(a, v);
  return most == none ? none : most + std::log(std::exp(a - most) + std::exp(v - most));
}

}  // namespace heed::kernels::attn
