// A codebook whose vectors are of all ranks: its start, its steps and its restarts are those of one
// rank that has them all.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "core/random.h"
#include "core/views.h"
#include "distributed/world.h"
#include "nn/layers/codebook.h"
#include "tests/samples.h"

namespace heed::nn {
namespace {

TEST(CodebookOverRanks, EqualsOneRankWithAllVectors) {
  const NoGrad none;
  const int64_t ranks = world().size(), rank = world().rank(), own = 10, dim = 3;
  // More codes than a batch has use for: some restart at each step.
  const CodebookOptions options{
      .dim = dim, .codes = 16, .decay = 0.3, .restart_below = 0.95, .lloyd = 4};
  Codebook shared(options), whole(options);
  shared.kmeans.sum_over_ranks = [](std::span<double> numbers) {
    Tensor all = Tensor::from(std::vector<double>(numbers.begin(), numbers.end()),
                              {static_cast<int64_t>(numbers.size())});
    world().all_reduce(all);
    std::copy_n(all.data<double>(), numbers.size(), numbers.begin());
  };
  for (uint64_t step = 0; step < 3; ++step) {
    for (uint64_t micro = 0; micro < 2; ++micro) {
      const std::string name = fmt::format("x{}-{}", step, micro);
      const Tensor x = testing::normal({ranks * own, dim}, name);
      random_context() = {7, step, micro};
      const Tensor of_one = whole.quantise(x).second;
      random_context() = {7, step,
                          micro * static_cast<uint64_t>(ranks) + static_cast<uint64_t>(rank)};
      const Tensor mine = shared.quantise(views::slice(x, 0, rank * own, (rank + 1) * own)).second;
      EXPECT_EQ(mine.to_vector<int64_t>(),
                views::slice(of_one, 0, rank * own, (rank + 1) * own).to_vector<int64_t>());
    }
  }
  const auto a = shared.kmeans.centroids.to_vector<double>();
  const auto b = whole.kmeans.centroids.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5 * (1 + std::abs(b[i]))) << i;
  int64_t fresh = 0;
  for (const double count : whole.kmeans.counts.to_vector<double>()) fresh += count == 1.0;
  EXPECT_GT(fresh, 0) << "no code began anew";
}

}  // namespace
}  // namespace heed::nn
