#include "data/masking.h"

#include <algorithm>

#include "data/batches.h"

namespace heed::data {

void MaskingOptions::options(Options& o) {
  o.field("select", select, "share of the tokens that are predicted", {.max = 1, .above = 0});
  o.field("mask", mask, "of those, the share that become the mask", {.min = 0, .max = 1});
  o.field("random", random, "of those, the share that become a random token; the rest stay",
          {.min = 0, .max = 1});
  o.check(mask + random <= 1.0 + 1e-9, "random", "mask + random must be at most 1");
}

Masked mask_tokens(const Tensor& ids, const Tensor& lengths, int64_t vocab, int64_t mask_id,
                   const MaskingOptions& options, const RandomKey& key, int64_t first_row) {
  HEED_CHECK(ids.rank() == 2 && ids.dtype() == DType::i64, "mask: ids must be i64 [B, N], got {}",
             ids);
  const int64_t rows = ids.size(0), columns = ids.size(1);
  Masked result{Tensor::from(ids.to_vector<int64_t>(), ids.shape()),
                Tensor::full(ids.shape(), static_cast<double>(kIgnoreTarget), DType::i64), 0};
  auto* inputs = result.inputs.data<int64_t>();
  auto* targets = result.targets.data<int64_t>();
  const std::vector<int64_t> counts =
      lengths.defined() ? lengths.to_vector<int64_t>()
                        : std::vector<int64_t>(static_cast<size_t>(rows), columns);

  for (int64_t row = 0; row < rows; ++row, inputs += columns, targets += columns) {
    const int64_t count = std::min(counts[static_cast<size_t>(row)], columns);
    if (count <= 0) continue;
    const RandomKey own = key.derive(static_cast<uint64_t>(first_row + row));
    const RandomStream selected(own.derive("select")), fate(own.derive("fate")),
        token(own.derive("token"));
    const auto corrupt = [&](int64_t i) {
      const auto draw = static_cast<uint64_t>(i);
      targets[i] = inputs[i];
      const double u = fate.uniform(draw);
      if (u < options.mask) {
        inputs[i] = mask_id;
      } else if (u < options.mask + options.random) {
        inputs[i] = static_cast<int64_t>(token.below(draw, static_cast<uint64_t>(vocab)));
      }
      ++result.count;
    };
    const int64_t before = result.count;
    for (int64_t i = 0; i < count; ++i) {
      if (selected.uniform(static_cast<uint64_t>(i)) < options.select) corrupt(i);
    }
    if (result.count == before) {
      corrupt(static_cast<int64_t>(
          RandomStream(own.derive("one")).below(0, static_cast<uint64_t>(count))));
    }
  }
  return result;
}

}  // namespace heed::data
