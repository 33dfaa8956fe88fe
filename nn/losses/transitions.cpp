#include "nn/losses/transitions.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"

namespace heed::nn {
namespace {

Tensor numbers(const std::vector<int64_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

}  // namespace

TransitionTeacher::TransitionTeacher(TransitionCounts counts, double tau)
    : temperature(tau),
      begin(std::move(counts.begin)),
      next(std::move(counts.next)),
      more(std::move(counts.count)) {
  const int64_t items = std::ssize(begin) - 1;
  for (int64_t item = 0; item < items; ++item) {
    const auto first = more.begin() + begin[static_cast<size_t>(item)];
    const auto end = more.begin() + begin[static_cast<size_t>(item) + 1];
    if (first == end) {
      everywhere.push_back(1.0 / static_cast<double>(items));
      continue;
    }
    const double most = *std::max_element(first, end), none = std::exp(-1.0 / temperature);
    double sum = none * static_cast<double>(items - (end - first));
    for (auto count = first; count != end; ++count) {
      *count = std::exp((*count / most - 1.0) / temperature);
      sum += *count;
    }
    for (auto share = first; share != end; ++share) *share = (*share - none) / sum;
    everywhere.push_back(none / sum);
  }
}

Tensor transition_distillation(const Tensor& x, std::span<const int64_t> heads, const Tensor& table,
                               const TransitionTeacher& teacher) {
  const auto n = static_cast<int64_t>(heads.size());
  HEED_CHECK(n > 0 && x.rank() == 2 && x.size(0) == n && table.size(0) == teacher.items(),
             "transition_distillation: {} heads of {} items, states {}, table {}", n,
             teacher.items(), x, table);
  // With z_hj = x_h . E_j / tau, a row's loss is
  //   (ln sum_j e^z_hj - z_hh) + z_hh - everywhere_h sum_j z_hj - sum_j more_hj z_hj.
  // The first part is a cross-entropy with the head itself as target, the others are sums of few z,
  // and products with the sum of all embeddings.
  std::vector<int64_t> rows, items;
  std::vector<double> factors, everywhere;
  for (int64_t h = 0; h < n; ++h) {
    const auto head = static_cast<size_t>(heads[static_cast<size_t>(h)]);
    everywhere.push_back(teacher.everywhere[head]);
    const auto add = [&](int64_t item, double factor) {
      rows.push_back(h);
      items.push_back(item);
      factors.push_back(factor);
    };
    add(heads[static_cast<size_t>(h)], 1.0);
    for (int64_t k = teacher.begin[head]; k < teacher.begin[head + 1]; ++k)
      add(teacher.next[static_cast<size_t>(k)], -teacher.more[static_cast<size_t>(k)]);
  }
  const Tensor z = mul(x, 1.0 / teacher.temperature);
  const Tensor targets = numbers({heads.begin(), heads.end()});
  const auto weights = [&](const std::vector<double>& values, const Shape& shape) {
    return cast(Tensor::from(values, shape), x.dtype()).to(x.device());
  };
  const Tensor pairs =
      sum(mul(index_select(z, 0, numbers(rows)), index_select(table, 0, numbers(items))), {1});
  const Tensor few = sum(mul(pairs, weights(factors, {std::ssize(factors)})));
  const Tensor all = sum(mul(matmul(weights(everywhere, {1, n}), z), sum(table, {0}, true)));
  return add(linear_cross_entropy(z, table, {}, targets),
             mul(sub(few, all), 1.0 / static_cast<double>(n)));
}

}  // namespace heed::nn
