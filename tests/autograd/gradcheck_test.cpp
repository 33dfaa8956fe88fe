#include "autograd/gradcheck.h"

#include "autograd/ops.h"
#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::uniform;

std::string check(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                  const std::vector<Tensor>& inputs) {
  return gradcheck(fn, inputs);
}

// x^2 with the derivative that `derivative` makes of x and dy.
template <class Derivative>
auto square_with(Derivative derivative) {
  return [derivative](const std::vector<Tensor>& x) {
    const Tensor y = square(x[0].detach());
    return record("mine", {x[0]}, y, [x = save(x[0]), derivative](const Tensor& dy) {
      return Gradients{derivative(*x, dy)};
    });
  };
}

TEST(Gradcheck, AcceptsARightGradient) {
  const auto right = [](const Tensor& x, const Tensor& dy) { return mul(mul(x, dy), 2.0); };
  EXPECT_EQ(check(square_with(right), {uniform({3, 2})}), "");
}

TEST(Gradcheck, CatchesAWrongFactorInOneElement) {
  const auto wrong = [](const Tensor& x, const Tensor& dy) {
    const Tensor dx = mul(mul(x, dy), 2.0);
    dx.data<double>()[4] *= 1.001;
    return dx;
  };
  const std::string message = check(square_with(wrong), {uniform({3, 2})});
  EXPECT_NE(message.find("input 0 (f64[3, 2]), element 4"), std::string::npos) << message;
}

TEST(Gradcheck, CatchesAMissingGradient) {
  const auto missing = [](const Tensor&, const Tensor&) { return Tensor(); };
  EXPECT_NE(check(square_with(missing), {uniform({2})}), "");
}

TEST(Gradcheck, CatchesNaN) {
  const auto nan = [](const Tensor& x, const Tensor& dy) {
    return mul(mul(x, dy), std::numeric_limits<double>::quiet_NaN());
  };
  EXPECT_NE(check(square_with(nan), {uniform({2})}), "");
}

TEST(Gradcheck, ChecksEveryOutput) {
  const std::function<std::vector<Tensor>(const std::vector<Tensor>&)> second_is_wrong =
      [](const std::vector<Tensor>& x) {
        const auto dropped = [](const Tensor&, const Tensor& dy) { return mul(dy, 0.0); };
        return std::vector<Tensor>{square(x[0]), square_with(dropped)(x)};
      };
  EXPECT_NE(gradcheck(second_is_wrong, {uniform({2})}), "");
}

TEST(Gradcheck, LeavesTheInputsAlone) {
  const Tensor x = uniform({3});
  const std::vector<double> before = x.to_vector<double>();
  EXPECT_EQ(check([](const std::vector<Tensor>& in) { return exp(in[0]); }, {x}), "");
  EXPECT_EQ(x.to_vector<double>(), before);
  EXPECT_FALSE(requires_grad(x));
}

TEST(Gradcheck, NeedsF64) {
  EXPECT_THROW(
      check([](const std::vector<Tensor>& in) { return exp(in[0]); }, {Tensor::zeros({2})}), Error);
}

}  // namespace
}  // namespace heed
