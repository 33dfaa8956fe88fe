#include "kernels/random/sampling.h"

#include <cmath>
#include <numeric>
#include <unordered_map>
#include <vector>

#include "core/parallel.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/unary.h"
#include "kernels/index/sort.h"
#include "kernels/random/random_rows.h"
#include "kernels/reduce/reduce.h"

namespace heed::kernels {
namespace {

void check_logits(const char* op, const Tensor& logits) {
  HEED_CHECK(logits.rank() >= 1 && logits.size(-1) > 0 && is_floating(logits.dtype()),
             "{}: logits are {}, need floating [..., V]", op, logits);
}

// logits / temperature + noise, f32 (f64 for f64)
Tensor perturbed(const Tensor& logits, const RandomKey& key, double temperature) {
  const DType dtype = logits.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor scaled = binary(Binary::mul, cast(logits, dtype), 1.0 / temperature);
  const Tensor noise = cast(gumbel_noise(logits.shape(), key), dtype);
  return binary(Binary::add, scaled, noise.to(logits.device()));
}

Tensor without_last(const Tensor& x) { return views::select(x, -1, 0); }

}  // namespace

Tensor gumbel_noise(const Shape& shape, const RandomKey& key) {
  const Tensor u = Tensor::empty(shape);
  const RandomStream stream(key);
  float* to = u.data<float>();
  parallel_for(u.numel(), 4096, [&](int64_t begin, int64_t end) {
    std::vector<uint32_t> words(static_cast<size_t>(end - begin));
    random_words(stream, begin, end - begin, words.data());
    for (int64_t i = begin; i < end; ++i) {
      const uint32_t word = words[static_cast<size_t>(i - begin)];
      to[i] = (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f;
    }
  });
  const auto negative_log = [](const Tensor& x) { return unary(Unary::neg, unary(Unary::log, x)); };
  return negative_log(negative_log(u));
}

Tensor categorical(const Tensor& logits, const RandomKey& key, double temperature) {
  const char* op = "categorical";
  check_logits(op, logits);
  HEED_CHECK(temperature >= 0, "{}: temperature {} is negative", op, temperature);
  const Tensor scores = temperature == 0 ? logits : perturbed(logits, key, temperature);
  return without_last(max_along(scores, -1).second);
}

Tensor categorical_without_replacement(const Tensor& logits, int64_t k, const RandomKey& key) {
  const char* op = "categorical_without_replacement";
  check_logits(op, logits);
  HEED_CHECK(k >= 0 && k <= logits.size(-1), "{}: {} of {} classes", op, k, logits.size(-1));
  const Sorted drawn = sort_along(perturbed(logits, key, 1.0), -1, true, k, op);
  for (const double score : drawn.values.to_vector<double>()) {
    HEED_CHECK(std::isfinite(score), "{}: fewer than {} classes have a finite logit", op, k);
  }
  return drawn.indices;
}

Tensor random_permutation(int64_t n, const RandomKey& key) {
  HEED_CHECK(n >= 0, "random_permutation: {} elements", n);
  const Tensor order = Tensor::empty({n}, DType::i64);
  int64_t* values = order.data<int64_t>();
  std::iota(values, values + n, int64_t{0});
  const RandomStream stream(key);
  for (int64_t i = 0; i + 1 < n; ++i) {
    const uint64_t rest = static_cast<uint64_t>(n - i);
    std::swap(values[i],
              values[i + static_cast<int64_t>(stream.below(static_cast<uint64_t>(i), rest))]);
  }
  return order;
}

Tensor random_subset(int64_t n, int64_t k, const RandomKey& key) {
  HEED_CHECK(k >= 0 && k <= n, "random_subset: {} of {}", k, n);
  // The same exchanges as the permutation's, on those places alone that they touch.
  std::unordered_map<int64_t, int64_t> moved;
  const auto at = [&](int64_t i) {
    const auto found = moved.find(i);
    return found == moved.end() ? i : found->second;
  };
  const RandomStream stream(key);
  const Tensor chosen = Tensor::empty({k}, DType::i64);
  for (int64_t i = 0; i < k; ++i) {
    const int64_t other = i + 1 < n
                              ? i + static_cast<int64_t>(stream.below(static_cast<uint64_t>(i),
                                                                      static_cast<uint64_t>(n - i)))
                              : i;
    chosen.data<int64_t>()[i] = at(other);
    moved[other] = at(i);
  }
  return chosen;
}

}  // namespace heed::kernels
