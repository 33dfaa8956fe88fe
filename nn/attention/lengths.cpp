#include "nn/attention/lengths.h"

#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/trace.h"
#include "kernels/copy/copy.h"

namespace heed::nn {
namespace {

AttentionPattern limited(const AttentionPattern& pattern, const AttentionPattern& lengths,
                         const Tensor& queries, const Tensor& keys) {
  const AttentionPattern both = pattern & lengths;
  if (trace::on()) {
    trace::report({std::make_shared<const AttentionPattern>(pattern),
                   std::make_shared<const AttentionPattern>(both), queries, keys});
  }
  return both;
}

}  // namespace

Tensor checked_lengths(const Tensor& lengths, int64_t batch, int64_t tokens) {
  if (!lengths.defined()) return {};
  HEED_CHECK(lengths.shape() == Shape{batch} && !is_floating(lengths.dtype()),
             "lengths: wants {} integers, got {}", batch, lengths);
  const std::vector<int64_t> values = lengths.to_vector<int64_t>();
  for (size_t b = 0; b < values.size(); ++b) {
    HEED_CHECK(values[b] >= 0 && values[b] <= tokens, "lengths: {} in row {} of {} tokens",
               values[b], b, tokens);
  }
  if (trace::follows(lengths)) {
    if (lengths.dtype() == DType::i64) return lengths;
    const Tensor wide = Tensor::from(values, {batch});
    trace::report("cast", {lengths}, {wide}, {{"dtype", name_of(DType::i64)}});
    return wide;
  }
  const bool full =
      std::all_of(values.begin(), values.end(), [&](int64_t value) { return value == tokens; });
  return full ? Tensor() : Tensor::from(values, {batch});
}

Tensor by_length(const Tensor& lengths, int64_t tokens, double inside, double behind,
                 Device device) {
  std::vector<float> values;
  for (const int64_t length : lengths.to_vector<int64_t>()) {
    for (int64_t i = 0; i < tokens; ++i)
      values.push_back(static_cast<float>(i < length ? inside : behind));
  }
  const Tensor y = Tensor::from(values, {lengths.numel(), tokens, 1}).to(device);
  if (trace::on())
    trace::report("by_length", {lengths}, {y}, {{"inside", inside}, {"behind", behind}});
  return y;
}

Tensor floating_lengths(const Tensor& lengths, DType dtype, Device device) {
  const Tensor y = kernels::cast(lengths, dtype).to(device);
  if (trace::on()) trace::report("cast", {lengths}, {y}, {{"dtype", name_of(dtype)}});
  return y;
}

Tensor looked_up(const std::vector<int64_t>& table, const Tensor& lengths) {
  std::vector<int64_t> found;
  for (const int64_t length : lengths.to_vector<int64_t>())
    found.push_back(table.at(static_cast<size_t>(length)));
  const Tensor y = Tensor::from(found, lengths.shape());
  if (trace::on()) {
    trace::report("index_select", {Tensor::from(table, {std::ssize(table)}), lengths}, {y},
                  {{"dim", 0}});
  }
  return y;
}

AttentionPattern within_lengths(const AttentionPattern& pattern, const Tensor& lengths) {
  const AttentionPattern own = AttentionPattern::lengths(lengths.to_vector<int64_t>());
  return limited(pattern, own, lengths, lengths);
}

AttentionPattern keys_within_lengths(const AttentionPattern& pattern, int64_t queries,
                                     const Tensor& lengths) {
  const std::vector<int64_t> keys = lengths.to_vector<int64_t>();
  const std::vector<int64_t> all(keys.size(), queries);
  return limited(pattern, AttentionPattern::lengths(all, keys), {}, lengths);
}

Tensor attention_of_lengths(const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& lengths, const AttentionSpec& spec) {
  HEED_CHECK(q.size(2) == k.size(2), "attention: lengths want as many queries as keys, got {}, {}",
             q, k);
  AttentionSpec how = spec;
  how.pattern = within_lengths(spec.pattern, lengths);
  return attention(q, k, v, how).out;
}

Tensor mean_of_lengths(const Tensor& x, const Tensor& lengths) {
  const Tensor counts = checked_lengths(lengths, x.size(0), x.size(1));
  if (!counts.defined()) return mean(x, {1});
  trace::AsOne one;
  const std::vector<int64_t> values = counts.to_vector<int64_t>();
  std::vector<double> shares;  // of a token in its row's mean
  for (const int64_t count : values)
    shares.push_back(count == 0 ? 0.0 : 1.0 / static_cast<double>(count));
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor share = cast(Tensor::from(shares, {x.size(0), 1, 1}), wide).to(x.device());
  const Tensor weights = mul(by_length(counts, x.size(1), 1.0, 0.0, x.device()), share);
  const Tensor y = cast(sum(mul(x, weights), {1}), x.dtype());
  one.report("mean_of_lengths", {x, counts}, {y});
  return y;
}

Tensor max_of_lengths(const Tensor& x, const Tensor& lengths) {
  const Tensor counts = checked_lengths(lengths, x.size(0), x.size(1));
  if (!counts.defined()) return max(x, 1);
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  return max(add(x, cast(by_length(counts, x.size(1), 0.0, kNone, x.device()), x.dtype())), 1);
}

}  // namespace heed::nn
