#include "nn/losses/transitions.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"

namespace heed::nn {
namespace {

/// A row of the teacher: this share for every item, and so much more for its successors.
struct TeacherRow {
  double everywhere = 0.0;
  std::vector<double> more;
};

TeacherRow teacher_row(const TransitionCounts& counts, int64_t head, double temperature) {
  const auto begin = counts.count.begin() + counts.begin[static_cast<size_t>(head)];
  const auto end = counts.count.begin() + counts.begin[static_cast<size_t>(head) + 1];
  if (begin == end) return {1.0 / static_cast<double>(counts.items()), {}};
  const double most = *std::max_element(begin, end);
  TeacherRow row{std::exp(-1.0 / temperature), {}};
  double sum = row.everywhere * static_cast<double>(counts.items() - (end - begin));
  for (auto count = begin; count != end; ++count) {
    row.more.push_back(std::exp((*count / most - 1.0) / temperature));
    sum += row.more.back();
  }
  for (double& share : row.more) share = (share - row.everywhere) / sum;
  row.everywhere /= sum;
  return row;
}

Tensor numbers(const std::vector<int64_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

}  // namespace

Tensor transition_distillation(const Tensor& x, std::span<const int64_t> heads, const Tensor& table,
                               const TransitionCounts& counts, double temperature) {
  const auto n = static_cast<int64_t>(heads.size());
  HEED_CHECK(n > 0 && x.rank() == 2 && x.size(0) == n && table.size(0) == counts.items(),
             "transition_distillation: {} heads of {} items, states {}, table {}", n,
             counts.items(), x, table);
  // With z_hj = x_h . E_j / tau, a row's loss is
  //   (ln sum_j e^z_hj - z_hh) + z_hh - everywhere_h sum_j z_hj - sum_j more_hj z_hj.
  // The first part is a cross-entropy with the head itself as target, the others are sums of few z,
  // and products with the sum of all embeddings.
  std::vector<int64_t> rows, items;
  std::vector<double> factors, everywhere;
  for (int64_t h = 0; h < n; ++h) {
    const int64_t head = heads[static_cast<size_t>(h)];
    const TeacherRow teacher = teacher_row(counts, head, temperature);
    everywhere.push_back(teacher.everywhere);
    const auto add = [&](int64_t item, double factor) {
      rows.push_back(h);
      items.push_back(item);
      factors.push_back(factor);
    };
    add(head, 1.0);
    for (size_t k = 0; k < teacher.more.size(); ++k) {
      const int64_t place = counts.begin[static_cast<size_t>(head)] + static_cast<int64_t>(k);
      add(counts.next[static_cast<size_t>(place)], -teacher.more[k]);
    }
  }
  const Tensor z = mul(x, 1.0 / temperature);
  const Tensor targets = numbers({heads.begin(), heads.end()});
  const auto weights = [&](const std::vector<double>& values, const Shape& shape) {
    return cast(Tensor::from(values, shape), x.dtype());
  };
  const Tensor pairs =
      sum(mul(index_select(z, 0, numbers(rows)), index_select(table, 0, numbers(items))), {1});
  const Tensor few = sum(mul(pairs, weights(factors, {std::ssize(factors)})));
  const Tensor all = sum(mul(matmul(weights(everywhere, {1, n}), z), sum(table, {0}, true)));
  return add(linear_cross_entropy(z, table, {}, targets),
             mul(sub(few, all), 1.0 / static_cast<double>(n)));
}

}  // namespace heed::nn
