// One tensor may be the gradient of several places: summing into one must not change the others.
#include <gtest/gtest.h>

#include "autograd/tape.h"
#include "kernels/elementwise/accumulate.h"

namespace heed {
namespace {

// a + b whose gradient is handed out twice as it stands.
Tensor plain_sum(const Tensor& a, const Tensor& b) {
  return record("plain_sum", {a, b}, kernels::add_out_of_place(a, b), [](const Tensor& dy) {
    return Gradients{dy, dy};
  });
}

TEST(Tape, AGradientHandedOutTwiceIsNotAddedIntoInPlace) {
  Tensor a = Tensor::from<double>({1, 2}, {2}), b = Tensor::from<double>({3, 4}, {2});
  require_grad(a);
  require_grad(b);
  const Tensor seed = Tensor::from<double>({1, 1}, {2});
  const Tensor s = plain_sum(a, b);
  backward({plain_sum(s, a)}, {seed});  // 2a + b
  EXPECT_EQ(grad(a).to_vector<double>(), (std::vector<double>{2, 2}));
  EXPECT_EQ(grad(b).to_vector<double>(), (std::vector<double>{1, 1}));
  EXPECT_EQ(seed.to_vector<double>(), (std::vector<double>{1, 1}));
}

TEST(Tape, TheSeedStaysTheCallers) {
  Tensor a = Tensor::from<double>({1, 2}, {2});
  require_grad(a);
  const Tensor seed = Tensor::from<double>({1, 1}, {2});
  for (int i = 0; i < 3; ++i) backward({plain_sum(a, a)}, {seed});
  EXPECT_EQ(grad(a).to_vector<double>(), (std::vector<double>{6, 6}));
  EXPECT_EQ(seed.to_vector<double>(), (std::vector<double>{1, 1}));
}

}  // namespace
}  // namespace heed
