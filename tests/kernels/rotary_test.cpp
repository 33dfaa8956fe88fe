#include "kernels/position/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "core/random.h"
#include "core/views.h"

namespace heed {
namespace {

Tensor random(const Shape& shape, DType dtype) {
  const Tensor t = Tensor::empty(shape, dtype);
  const RandomStream stream({3, 1, 0});
  dispatch_floating(dtype, "random", [&](auto type) {
    for (int64_t i = 0; i < t.numel(); ++i)
      t.data<decltype(type)>()[i] =
          static_cast<decltype(type)>(2.0f * stream.uniform(static_cast<uint64_t>(i)) - 1.0f);
  });
  return t;
}

Tensor rotated(const Tensor& x, const Tensor& positions, int64_t rotary_dim, bool interleaved,
               bool inverse = false) {
  const Tensor y = Tensor::empty(x.shape(), x.dtype());
  const auto table = kernels::rotary_table(positions, x.size(0), x.size(2), x.size(3), rotary_dim,
                                           10000.0, interleaved, x.dtype());
  kernels::rotate(x, y, table, inverse);
  return y;
}

double roundoff(DType dtype) {
  return dtype == DType::f64 ? 0x1p-53 : dtype == DType::bf16 ? 0x1p-9 : 0x1p-24;
}

TEST(Rotary, TurnsEachPairByItsAngle) {
  const int64_t B = 2, H = 3, N = 5, D = 22;
  const Tensor shared = Tensor::from<int64_t>({0, 1, 7, 1000, 123456}, {N});
  const Tensor own = Tensor::from<int64_t>({0, 1, 2, 3, 4, 9, 8, 7, 6, 5}, {B, N});
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const Tensor x = random({B, H, N, D}, dtype);
    for (const Tensor& positions : {shared, own}) {
      for (const bool interleaved : {false, true}) {
        for (const int64_t rotary_dim : {int64_t{0}, int64_t{8}}) {
          const auto got = rotated(x, positions, rotary_dim, interleaved).to_vector<double>();
          const auto in = x.to_vector<double>();
          const int64_t turned = rotary_dim == 0 ? D : rotary_dim;
          for (int64_t row = 0; row < B * H * N; ++row) {
            const int64_t i = row % N, b = row / (H * N);
            const double position = static_cast<double>(
                positions.data<int64_t>()[positions.rank() == 2 ? b * N + i : i]);
            auto at = [&](int64_t d) { return static_cast<size_t>(row * D + d); };
            for (int64_t pair = 0; pair < turned / 2; ++pair) {
              const int64_t first = interleaved ? 2 * pair : pair;
              const int64_t second = interleaved ? first + 1 : first + turned / 2;
              const double angle = position * std::pow(10000.0, -2.0 * static_cast<double>(pair) /
                                                                    static_cast<double>(turned));
              const double c = std::cos(angle), s = std::sin(angle);
              const double a = in[at(first)], z = in[at(second)];
              // two products and a sum of numbers up to 1, from rounded c and s: 5 roundings;
              // the angle itself is good to 2^-52 of its size
              const double tolerance = 5 * roundoff(dtype) + angle * 0x1p-51;
              ASSERT_NEAR(got[at(first)], a * c - z * s, tolerance);
              ASSERT_NEAR(got[at(second)], z * c + a * s, tolerance);
            }
            for (int64_t d = turned; d < D; ++d) ASSERT_EQ(got[at(d)], in[at(d)]);
          }
        }
      }
    }
  }
}

TEST(Rotary, TheInverseUndoesIt) {
  const Tensor x = random({1, 2, 9, 16}, DType::f64);
  const Tensor positions = Tensor::from<int64_t>({4, 8, 15, 16, 23, 42, 99, 100, 101}, {9});
  for (const bool interleaved : {false, true}) {
    const Tensor back =
        rotated(rotated(x, positions, 0, interleaved), positions, 0, interleaved, true);
    const auto a = x.to_vector<double>(), b = back.to_vector<double>();
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 8 * 0x1p-53);
  }
}

TEST(Rotary, ScalingDividesFrequenciesByHowOftenTheyTurn) {
  using Kind = kernels::RotaryScaling::Kind;
  constexpr double kTurn = 2.0 * std::numbers::pi;
  const kernels::RotaryScaling llama3{Kind::llama3, 8.0, 1.0, 4.0, 100};
  const auto turns = [](double count) { return count * kTurn / 100.0; };  // in those 100 tokens
  EXPECT_DOUBLE_EQ(llama3(turns(0.5)), turns(0.5) / 8.0);
  EXPECT_DOUBLE_EQ(llama3(turns(5.0)), turns(5.0));
  EXPECT_DOUBLE_EQ(llama3(turns(2.5)), turns(2.5) * (0.5 / 8.0 + 0.5));  // halfway from 1 to 4
  EXPECT_DOUBLE_EQ((kernels::RotaryScaling{Kind::linear, 4.0}(0.3)), 0.075);
  EXPECT_EQ(kernels::RotaryScaling{}(0.3), 0.3);
}

TEST(Rotary, ATableIsNotTakenForOneOfAnotherScaling) {
  const Tensor positions = Tensor::from<int64_t>({3, 9}, {2});
  const auto cosines = [&](const kernels::RotaryScaling& scaling) {
    return kernels::rotary_table(positions, 1, 2, 4, 0, 10000.0, false, DType::f64, scaling)
        .cos.to_vector<double>();
  };
  const auto plain = cosines({}), halved = cosines({kernels::RotaryScaling::Kind::linear, 2.0});
  EXPECT_DOUBLE_EQ(plain[0], std::cos(3.0));
  EXPECT_DOUBLE_EQ(halved[0], std::cos(1.5));
}

TEST(Rotary, ReadsStridedHeads) {
  const Tensor packed = random({2, 4, 3, 8}, DType::f32);  // [B, N, H, D]
  const Tensor view = views::transpose(packed, 1, 2);
  const Tensor dense = Tensor::from(view.to_vector<float>(), view.shape());
  const Tensor positions = Tensor::from<int64_t>({0, 1, 2, 3}, {4});
  EXPECT_EQ(rotated(view, positions, 0, false).to_vector<float>(),
            rotated(dense, positions, 0, false).to_vector<float>());
}

TEST(Rotary, WrongRequestsAreNamed) {
  const Tensor x = random({1, 1, 4, 8}, DType::f32);
  const Tensor positions = Tensor::from<int64_t>({0, 1, 2, 3}, {4});
  EXPECT_THROW(rotated(x, positions, 7, false), Error);
  EXPECT_THROW(rotated(x, positions, 10, false), Error);
  EXPECT_THROW(rotated(x, Tensor::from<int64_t>({0, 1, 2}, {3}), 0, false), Error);
  EXPECT_THROW(rotated(x, Tensor::from<float>({0, 1, 2, 3}, {4}), 0, false), Error);
}

}  // namespace
}  // namespace heed
