#include "autograd/ops/metric_loss.h"

#include <numeric>

#include "autograd/ops/channel_norm.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/pointwise_loss.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "kernels/copy/copy.h"

namespace heed {
namespace {

Tensor reduced(const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::sum ? sum(losses) : mean(losses);
}

// softplus(x), which is the binary cross-entropy of logit x against target 0.
Tensor soft_hinge(const Tensor& x) {
  const Tensor none = Tensor::zeros(x.shape(), x.dtype(), x.device());
  return bce_with_logits(x, none, {.reduction = Reduction::none});
}

Tensor hinge(const Tensor& difference, double margin, bool soft) {
  return soft ? soft_hinge(difference) : relu(difference + margin);
}

void check_pair(const char* op, const Tensor& x, const Tensor& y) {
  HEED_CHECK(x.rank() >= 1 && x.shape() == y.shape() && is_floating(x.dtype()),
             "{}: x is {}, y is {}: need floating [..., D], both alike", op, x, y);
}

struct Triplets {
  std::vector<int64_t> anchors, positives, negatives;
};

Triplets hardest(const Tensor& x, const std::vector<int64_t>& labels) {
  const NoGrad no_grad;
  const int64_t n = x.size(0);
  // |a - b|^2 = |a|^2 + |b|^2 - 2 a b, only to compare: the loss takes distances anew
  const std::vector<double> products = matmul(x, transpose(x, 0, 1)).to_vector<double>();
  const auto product = [&](int64_t i, int64_t j) {
    return products[static_cast<size_t>(i * n + j)];
  };
  Triplets found;
  for (int64_t i = 0; i < n; ++i) {
    int64_t far = -1, near = -1;
    const auto square = [&](int64_t j) { return product(j, j) - 2 * product(i, j); };
    for (int64_t j = 0; j < n; ++j) {
      const bool same = labels[static_cast<size_t>(i)] == labels[static_cast<size_t>(j)];
      if (same && j != i && (far < 0 || square(j) > square(far))) far = j;
      if (!same && (near < 0 || square(j) < square(near))) near = j;
    }
    if (far < 0 || near < 0) continue;
    found.anchors.push_back(i);
    found.positives.push_back(far);
    found.negatives.push_back(near);
  }
  return found;
}

}  // namespace

Tensor cosine_similarity(const Tensor& x, const Tensor& y, double eps) {
  check_pair("cosine_similarity", x, y);
  return sum(mul(l2_normalize(x, -1, eps), l2_normalize(y, -1, eps)), {-1});
}

Tensor cosine_embedding_loss(const Tensor& x, const Tensor& y, const Tensor& sign, double margin,
                             Reduction reduction) {
  const char* op = "cosine_embedding_loss";
  const Tensor cosine = cosine_similarity(x, y);
  HEED_CHECK(sign.shape() == cosine.shape(), "{}: the sign is {}, the similarity {}", op, sign,
             cosine);
  std::vector<double> alike = sign.to_vector<double>();
  for (double& s : alike) {
    HEED_CHECK(s == 1 || s == -1, "{}: a sign is {}, neither 1 nor -1", op, s);
    s = s > 0 ? 1 : 0;
  }
  const Tensor same =
      kernels::cast(Tensor::from(alike, sign.shape()), cosine.dtype()).to(cosine.device());
  const Tensor losses = same * (neg(cosine) + 1.0) + (neg(same) + 1.0) * relu(cosine - margin);
  return reduced(losses, reduction);
}

Tensor distance(const Tensor& x, const Tensor& y, double eps) {
  check_pair("distance", x, y);
  return sqrt(sum(square(x - y + eps), {-1}));
}

Tensor triplet_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                    double margin, bool soft, Reduction reduction) {
  const Tensor difference = distance(anchor, positive) - distance(anchor, negative);
  return reduced(hinge(difference, margin, soft), reduction);
}

Tensor batch_hard_triplet_loss(const Tensor& x, const Tensor& labels, double margin, bool soft) {
  const char* op = "batch_hard_triplet_loss";
  HEED_CHECK(x.rank() == 2 && labels.rank() == 1 && labels.size(0) == x.size(0),
             "{}: x is {}, labels {}: need [N, D] and [N]", op, x, labels);
  HEED_CHECK(labels.dtype() == DType::i64 || labels.dtype() == DType::i32,
             "{}: labels are {}, need i64 or i32", op, labels);
  const Triplets t = hardest(x, labels.to_vector<int64_t>());
  if (t.anchors.empty()) return sum(x * 0.0);
  const auto rows = [&](const std::vector<int64_t>& index) {
    return index_select(x, 0, Tensor::from(index, {static_cast<int64_t>(index.size())}));
  };
  return triplet_loss(rows(t.anchors), rows(t.positives), rows(t.negatives), margin, soft);
}

Tensor info_nce_loss(const Tensor& x, const Tensor& y, double temperature, bool symmetric) {
  const char* op = "info_nce_loss";
  check_pair(op, x, y);
  HEED_CHECK(x.rank() == 2 && temperature > 0, "{}: x is {}, temperature {}: need [N, D] and > 0",
             op, x, temperature);
  const Tensor logits =
      matmul(l2_normalize(x), transpose(l2_normalize(y), 0, 1)) * (1 / temperature);
  std::vector<int64_t> diagonal(static_cast<size_t>(x.size(0)));
  std::iota(diagonal.begin(), diagonal.end(), 0);
  const Tensor targets = Tensor::from(diagonal, {x.size(0)});
  const Tensor forward = cross_entropy(logits, targets);
  if (!symmetric) return forward;
  return (forward + cross_entropy(transpose(logits, 0, 1), targets)) * 0.5;
}

Tensor prototype_logits(const Tensor& x, int64_t shots, bool cosine) {
  HEED_CHECK(x.rank() == 4 && is_floating(x.dtype()) && shots >= 1 && shots < x.size(2),
             "prototype_logits: x is {} with {} shots: need floating [E, N, S + Q, D] and shots "
             "in [1, S + Q)",
             x, shots);
  const int64_t episodes = x.size(0), ways = x.size(1), dim = x.size(3);
  const int64_t queries = ways * (x.size(2) - shots);
  const Tensor prototypes = mean(slice(x, 2, 0, shots), {2});  // [E, N, D]
  const Tensor asked = reshape(slice(x, 2, shots, x.size(2)), {episodes, queries, dim});
  if (cosine) return matmul(l2_normalize(asked), transpose(l2_normalize(prototypes), 1, 2));
  // Differences, not |q|^2 - 2 q c + |c|^2, which loses the digits that near prototypes differ in.
  return neg(sum(square(unsqueeze(asked, 2) - unsqueeze(prototypes, 1)), {-1}));
}

Tensor prototype_loss(const Tensor& x, int64_t shots, bool cosine, double scale) {
  const Tensor logits = prototype_logits(x, shots, cosine);
  const int64_t each = x.size(2) - shots, queries = logits.size(1);
  std::vector<int64_t> own(static_cast<size_t>(x.size(0) * queries));
  for (size_t i = 0; i < own.size(); ++i) own[i] = static_cast<int64_t>(i) % queries / each;
  return cross_entropy(logits * scale, Tensor::from(own, {x.size(0), queries}));
}

}  // namespace heed
