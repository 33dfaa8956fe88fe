#include "nn/attention/biased_attention.h"

#include <cmath>

#include "autograd/ops/compare.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/view.h"

namespace heed::nn {
namespace {

constexpr double kMasked = -1e30;  // finite: a row of them alone still has a softmax

// Where query i may not see key j, bool [N, M].
Tensor future(int64_t queries, int64_t keys, int64_t offset) {
  Tensor mask = Tensor::empty({queries, keys}, DType::boolean);
  auto* out = mask.data<bool>();
  for (int64_t i = 0; i < queries; ++i) {
    for (int64_t j = 0; j < keys; ++j) *out++ = j > i + offset;
  }
  return mask;
}

// Keys behind a row's length, bool [B, 1, 1, M].
Tensor padding(const Tensor& lengths, int64_t keys) {
  const std::vector<int64_t> counts = lengths.to_vector<int64_t>();
  Tensor mask = Tensor::empty({lengths.numel(), 1, 1, keys}, DType::boolean);
  auto* out = mask.data<bool>();
  for (const int64_t count : counts) {
    for (int64_t j = 0; j < keys; ++j) *out++ = j >= count;
  }
  return mask;
}

// Each of [B, Hkv, M, D] for a group of query heads.
Tensor for_heads(const Tensor& x, int64_t heads) {
  const int64_t group = heads / x.size(1);
  if (group == 1) return x;
  const Tensor wide = expand(unsqueeze(x, 2), {x.size(0), x.size(1), group, x.size(2), x.size(3)});
  return reshape(wide, {x.size(0), heads, x.size(2), x.size(3)});
}

}  // namespace

Tensor biased_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        const Tensor& lengths, const AttentionSpec& spec) {
  const int64_t heads = q.size(1), queries = q.size(2), keys = k.size(2);
  HEED_CHECK(bias.shape() == (Shape{heads, queries, keys}),
             "attention: {} heads, {} queries, {} keys, but the bias is {}", heads, queries, keys,
             bias);
  HEED_CHECK(spec.score.alibi.empty(), "attention: a bias of scores and alibi slopes together");
  const double scale =
      spec.score.scale > 0.0 ? spec.score.scale : 1.0 / std::sqrt(static_cast<double>(q.size(3)));
  const Tensor products = matmul(mul(q, scale), transpose(for_heads(k, heads), 2, 3));
  Tensor scores = add(products, cast(bias, products.dtype()));
  if (spec.pattern.kind == AttentionPattern::Kind::causal) {
    scores = masked_fill(scores, future(queries, keys, spec.pattern.query_offset), kMasked);
  }
  if (lengths.defined()) scores = masked_fill(scores, padding(lengths, keys), kMasked);
  Tensor share = softmax(scores, -1);
  if (spec.dropout > 0.0) share = dropout(share, spec.dropout, spec.dropout_key);
  return matmul(share, for_heads(v, heads));
}

}  // namespace heed::nn
