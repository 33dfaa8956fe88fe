#include "nn/attention/lengths.h"

#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"

namespace heed::nn {

Tensor checked_lengths(const Tensor& lengths, int64_t batch, int64_t tokens) {
  if (!lengths.defined()) return {};
  HEED_CHECK(lengths.shape() == Shape{batch} && !is_floating(lengths.dtype()),
             "lengths: wants {} integers, got {}", batch, lengths);
  const std::vector<int64_t> values = lengths.to_vector<int64_t>();
  for (size_t b = 0; b < values.size(); ++b) {
    HEED_CHECK(values[b] >= 0 && values[b] <= tokens, "lengths: {} in row {} of {} tokens",
               values[b], b, tokens);
  }
  const bool full =
      std::all_of(values.begin(), values.end(), [&](int64_t value) { return value == tokens; });
  return full ? Tensor() : Tensor::from(values, {batch});
}

Tensor by_length(const std::vector<int64_t>& lengths, int64_t tokens, double inside,
                 double behind) {
  std::vector<float> values;
  for (const int64_t length : lengths) {
    for (int64_t i = 0; i < tokens; ++i)
      values.push_back(static_cast<float>(i < length ? inside : behind));
  }
  return Tensor::from(values, {static_cast<int64_t>(lengths.size()), tokens, 1});
}

Tensor attention_of_lengths(const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& lengths, const AttentionSpec& spec) {
  HEED_CHECK(q.size(2) == k.size(2), "attention: lengths want as many queries as keys, got {}, {}",
             q, k);
  AttentionSpec how = spec;
  how.pattern = spec.pattern & AttentionPattern::lengths(lengths.to_vector<int64_t>());
  return attention(q, k, v, how).out;
}

Tensor mean_of_lengths(const Tensor& x, const Tensor& lengths) {
  const Tensor counts = checked_lengths(lengths, x.size(0), x.size(1));
  if (!counts.defined()) return mean(x, {1});
  const std::vector<int64_t> values = counts.to_vector<int64_t>();
  std::vector<double> shares;  // of a token in its row's mean
  for (const int64_t count : values)
    shares.push_back(count == 0 ? 0.0 : 1.0 / static_cast<double>(count));
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor weights = mul(by_length(values, x.size(1), 1.0, 0.0),
                             cast(Tensor::from(shares, {x.size(0), 1, 1}), wide));
  return cast(sum(mul(x, weights), {1}), x.dtype());
}

}  // namespace heed::nn
