#include "data/mixture.h"

#include <cmath>
#include <numeric>

#include "core/error.h"
#include "data/permutation.h"

namespace heed::data {
namespace {

constexpr uint64_t kUnits = uint64_t{1} << 20;  // that the weights' sum is measured in

}  // namespace

Mixture::Mixture(uint64_t seed, const std::vector<double>& weights) : seed_(seed) {
  HEED_CHECK(!weights.empty(), "mixture: of nothing");
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  double end = 0;
  for (const double weight : weights) {
    if (!(weight > 0) || !std::isfinite(weight)) fail_request("mixture: a weight of {}", weight);
  }
  if (!std::isfinite(sum)) fail_request("mixture: the weights' sum is {}", sum);
  for (const double weight : weights) {
    if (weights.size() > 1 && weight / sum < 2.0 / static_cast<double>(kBlock)) {
      fail_request("mixture: a weight of {} among {}: the least share is 2 rows of {}", weight, sum,
                   kBlock);
    }
    end += weight;
    ends_.push_back(static_cast<uint64_t>(std::llround(end / sum * static_cast<double>(kUnits))));
  }
  ends_.back() = kUnits;
}

// Rows of the corpora 0 .. corpus in the blocks before: a share of them, rounded down.
uint64_t Mixture::before(size_t corpus, uint64_t block) const {
  return block * kBlock / kUnits * ends_[corpus] + block * kBlock % kUnits * ends_[corpus] / kUnits;
}

Mixture::Draw Mixture::operator()(uint64_t row) const {
  if (ends_.size() == 1) return {0, row};
  const uint64_t block = row / kBlock;
  const uint64_t place =
      Permutation({seed_, hash_name("data/mixture"), block}, kBlock)(row % kBlock);
  uint64_t begin = 0, earlier = 0;  // of this corpus in the block; of the corpora before it
  for (size_t corpus = 0;; ++corpus) {
    const uint64_t upto = before(corpus, block), end = before(corpus, block + 1) - upto;
    if (place < end) return {corpus, upto - earlier + place - begin};
    begin = end;
    earlier = upto;
  }
}

uint64_t Mixture::count(size_t corpus, uint64_t rows) const {
  if (ends_.size() == 1) return rows;
  const uint64_t block = rows / kBlock;
  uint64_t sum = before(corpus, block) - (corpus == 0 ? 0 : before(corpus - 1, block));
  for (uint64_t row = block * kBlock; row < rows; ++row) sum += (*this)(row).corpus == corpus;
  return sum;
}

}  // namespace heed::data
