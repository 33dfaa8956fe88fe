#include "kernels/matmul/matmul.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "core/random.h"
#include "core/views.h"
#include "kernels/matmul/packed.h"

namespace heed {
namespace {

Tensor random_tensor(const Shape& shape, DType dtype, uint64_t purpose) {
  const RandomStream stream(RandomKey{11, purpose, 0});
  const Tensor x = Tensor::empty(shape, dtype);
  dispatch_floating(dtype, "random", [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < x.numel(); ++i) {
      x.data<T>()[i] = static_cast<T>(2 * stream.uniform(static_cast<uint64_t>(i)) - 1);
    }
  });
  return x;
}

// The obvious product in f64, of the values the operands really hold.
std::vector<double> reference(const Tensor& a, const Tensor& b) {
  const int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  const std::vector<double> va = a.to_vector<double>(), vb = b.to_vector<double>();
  std::vector<double> out(static_cast<size_t>(m * n));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t p = 0; p < k; ++p) {
        out[static_cast<size_t>(i * n + j)] +=
            va[static_cast<size_t>(i * k + p)] * vb[static_cast<size_t>(p * n + j)];
      }
    }
  }
  return out;
}

// Summing k products of numbers below 1 in f32 loses at most about k * 2^-24 * sum|ab| / 2;
// rounding to bf16 adds 2^-8 of the value.
double tolerance(DType in, DType out, int64_t k) {
  const double sum = in == DType::f64 ? 1e-15 : std::ldexp(1.0, -24);
  return static_cast<double>(k) * static_cast<double>(k) * sum + 1e-7 +
         (out == DType::bf16 ? std::ldexp(static_cast<double>(k), -8) : 0.0);
}

void expect_near(const Tensor& out, const std::vector<double>& want, double tol,
                 const std::string& what) {
  const std::vector<double> got = out.to_vector<double>();
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tol) << what << " element " << i;
}

struct Case {
  int64_t m, n, k;
};
const Case kCases[] = {{1, 1, 1},     {1, 7, 3},    {13, 1, 5},    {2, 3, 1},
                       {17, 31, 13},  {64, 64, 64}, {65, 129, 67}, {300, 257, 40},
                       {1, 513, 129}, {515, 1, 33}, {31, 700, 101}};

TEST(Gemm, EqualsTheReferenceForEveryLayoutAndDtype) {
  for (const auto& [m, n, k] : kCases) {
    for (const auto& [in, out_dtype] :
         std::vector<std::pair<DType, DType>>{{DType::f32, DType::f32},
                                              {DType::bf16, DType::bf16},
                                              {DType::bf16, DType::f32},
                                              {DType::f64, DType::f64}}) {
      for (const bool ta : {false, true}) {
        for (const bool tb : {false, true}) {
          const Tensor a = ta ? views::transpose(random_tensor({k, m}, in, 1), 0, 1)
                              : random_tensor({m, k}, in, 1);
          const Tensor b = tb ? views::transpose(random_tensor({n, k}, in, 2), 0, 1)
                              : random_tensor({k, n}, in, 2);
          const Tensor out = Tensor::full({m, n}, NAN, out_dtype);
          kernels::gemm(a, b, out);
          expect_near(out, reference(a, b), tolerance(in, out_dtype, k),
                      fmt::format("{}x{}x{} {}->{} ta {} tb {}", m, n, k, name_of(in),
                                  name_of(out_dtype), ta, tb));
        }
      }
    }
  }
}

TEST(Gemm, ReadsAndWritesStridedMatricesInPlace) {
  const Tensor wide = random_tensor({20, 50}, DType::f32, 3);
  const Tensor a = views::slice(wide, 1, 3, 20);                           // a row stride of 50
  const Tensor b = views::transpose(views::slice(wide, 1, 20, 37), 0, 1);  // [17, 20]
  const Tensor host = Tensor::full({20, 64}, 5.0);
  const Tensor out = views::slice(host, 1, 10, 30);
  kernels::gemm(a, b, out);
  expect_near(out, reference(a, b), tolerance(DType::f32, DType::f32, 17), "strided");
  EXPECT_EQ(host.data<float>()[9], 5.0f);
  EXPECT_EQ(host.data<float>()[30], 5.0f);
  const Tensor scattered = views::slice(wide, 1, 0, 40, 2);  // both strides above 1: copied
  const Tensor square = Tensor::empty({20, 20});
  kernels::gemm(scattered, views::transpose(scattered, 0, 1), square);
  expect_near(square, reference(scattered, views::transpose(scattered, 0, 1)),
              tolerance(DType::f32, DType::f32, 20), "scattered");
}

TEST(Gemm, AccumulatesAndAddsBias) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor a = random_tensor({33, 9}, dtype, 4), b = random_tensor({9, 70}, dtype, 5);
    const Tensor bias = random_tensor({70}, dtype, 6);
    std::vector<double> want = reference(a, b);
    const Tensor sum = Tensor::full({33, 70}, 2.0, dtype), biased = Tensor::empty({33, 70}, dtype);
    kernels::gemm(a, b, sum, {.accumulate = true});
    kernels::gemm(a, b, biased, {.bias = bias});
    std::vector<double> want_sum = want, want_biased = want;
    for (size_t i = 0; i < want.size(); ++i) {
      want_sum[i] += 2.0;
      want_biased[i] += bias.to_vector<double>()[i % 70];
    }
    expect_near(sum, want_sum, tolerance(dtype, dtype, 10), "accumulate");
    expect_near(biased, want_biased, tolerance(dtype, dtype, 10), "bias");
  }
}

double activate(Activation activation, double z) {
  switch (activation) {
    case Activation::none:
      return z;
    case Activation::relu:
      return std::max(z, 0.0);
    case Activation::gelu:
      return 0.5 * z * (1 + std::erf(z / std::sqrt(2.0)));
    case Activation::gelu_tanh:
      return 0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
    case Activation::silu:
      return z / (1 + std::exp(-z));
  }
  return z;
}

constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::gelu,
                                       Activation::gelu_tanh, Activation::silu};

TEST(Gemm, ActivatesInPlaceOrBeside) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const Activation activation : kActivations) {
      const Tensor a = random_tensor({71, 19}, dtype, 7), b = random_tensor({19, 131}, dtype, 8);
      const Tensor z = Tensor::empty({71, 131}, dtype), h = Tensor::empty({71, 131}, dtype);
      const Tensor in_place = Tensor::empty({71, 131}, dtype);
      if (activation != Activation::none)
        kernels::gemm(a, b, z, {.activation = activation, .activated = h});
      kernels::gemm(a, b, in_place, {.activation = activation});
      std::vector<double> want = reference(a, b);
      if (activation != Activation::none)
        expect_near(z, want, tolerance(dtype, dtype, 19), "kept input");
      for (double& v : want) v = activate(activation, v);
      const double tol = 1.2 * tolerance(dtype, dtype, 19);  // no slope is above 1.2
      expect_near(in_place, want, tol, "in place");
      if (activation != Activation::none) expect_near(h, want, tol, "beside");
    }
  }
}

TEST(Gemm, BroadcastsBatches) {
  const Tensor a = random_tensor({3, 1, 5, 4}, DType::f32, 9),
               b = random_tensor({2, 4, 6}, DType::f32, 10);
  const Tensor out = kernels::matmul(a, b);
  ASSERT_EQ(out.shape(), (Shape{3, 2, 5, 6}));
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      const Tensor left = views::select(views::select(a, 0, i), 0, 0);
      expect_near(views::select(views::select(out, 0, i), 0, j),
                  reference(left, views::select(b, 0, j)), tolerance(DType::f32, DType::f32, 4),
                  "batch");
    }
  }
}

TEST(Gemm, IsBitwiseTheSameForEveryThreadCount) {
  const int threads = thread_count();
  for (const DType dtype : {DType::f32, DType::bf16}) {  // f32 is a packed product where it can be
    const Tensor a = random_tensor({700, 333}, dtype, 11), b = random_tensor({333, 517}, dtype, 12);
    std::vector<std::vector<float>> results;
    for (const int count : {1, 2, 3}) {
      set_thread_count(count);
      results.push_back(kernels::matmul(a, b).to_vector<float>());
    }
    set_thread_count(threads);
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

// packed_product itself, below the sizes at which gemm turns to it.
TEST(PackedProduct, EqualsTheReferenceAndTouchesNothingElse) {
  if (!kernels::packed_pays(4096, 4096, 4096, {4096, false})) {
    GTEST_SKIP() << "packed products need AVX-512";
  }
  constexpr int64_t kMargin = 5;
  for (const auto& [m, n, k] : std::vector<Case>{{1, 1, 1},
                                                 {14, 32, 16},
                                                 {15, 33, 17},
                                                 {13, 31, 515},
                                                 {29, 97, 1},
                                                 {113, 300, 1031},
                                                 {127, 64, 512},
                                                 {300, 523, 48},
                                                 {16, 2100, 40}}) {
    for (const bool transposed : {false, true}) {
      for (const bool accumulate : {false, true}) {
        const std::string what =
            fmt::format("{}x{}x{} transposed {} accumulate {}", m, n, k, transposed, accumulate);
        const Tensor wide = random_tensor({m, k + kMargin}, DType::f32, 21);
        const Tensor a = views::slice(wide, 1, kMargin, kMargin + k);
        const Tensor stored = random_tensor(transposed ? Shape{n, k} : Shape{k, n}, DType::f32, 22);
        const Tensor b = transposed ? views::transpose(stored, 0, 1) : stored;
        const Tensor bias = random_tensor({n}, DType::f32, 23);
        const Tensor out = Tensor::full({m, n + kMargin}, 3.0), beside = Tensor::full({m, n}, NAN);
        kernels::packed_product({.m = m,
                                 .n = n,
                                 .k = k,
                                 .a = a.data<float>(),
                                 .b = b.data<float>(),
                                 .c = out.data<float>(),
                                 .lda = k + kMargin,
                                 .lb = {transposed ? k : n, transposed},
                                 .ldc = n + kMargin,
                                 .accumulate = accumulate,
                                 .bias = accumulate ? nullptr : bias.data<float>(),
                                 .activation = Activation::relu,
                                 .activated = beside.data<float>(),
                                 .ld_activated = n});
        std::vector<double> want = reference(a, b), activated;
        for (size_t i = 0; i < want.size(); ++i) {
          want[i] += accumulate
                         ? 3.0
                         : static_cast<double>(bias.data<float>()[i % static_cast<size_t>(n)]);
          activated.push_back(std::max(want[i], 0.0));
        }
        const double tol = tolerance(DType::f32, DType::f32, k);
        expect_near(views::slice(out, 1, 0, n), want, tol, what);
        expect_near(beside, activated, tol, what + " activated");
        for (int64_t r = 0; r < m; ++r) {
          for (int64_t c = n; c < n + kMargin; ++c) {
            ASSERT_EQ(out.data<float>()[r * (n + kMargin) + c], 3.0f) << what;
          }
        }
      }
    }
  }
}

TEST(Gemm, SaysWhatDoesNotFit) {
  EXPECT_THROW(kernels::gemm(Tensor::zeros({2, 3}), Tensor::zeros({4, 5}), Tensor::zeros({2, 5})),
               Error);
  EXPECT_THROW(kernels::gemm(Tensor::zeros({2, 3}), Tensor::zeros({3, 5}, DType::bf16),
                             Tensor::zeros({2, 5})),
               Error);
  EXPECT_THROW(kernels::matmul(Tensor::zeros({2, 2, 3}), Tensor::zeros({3, 3, 5})), Error);
}

TEST(ActivationBackward, EqualsTheSlopeAndSumsTheBias) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
    for (const Activation activation : kActivations) {
      for (const Shape& shape : {Shape{1, 1}, Shape{7, 33}, Shape{300, 130}}) {
        const Tensor dy = random_tensor(shape, dtype, 13), z = random_tensor(shape, dtype, 14);
        const auto [dz, dbias] = kernels::activation_backward(activation, dy, z, true);
        const std::vector<double> vdy = dy.to_vector<double>(), vz = z.to_vector<double>();
        std::vector<double> want(vdy.size()), sums(static_cast<size_t>(shape[1]));
        for (size_t i = 0; i < want.size(); ++i) {
          const double h = 1e-5;
          const double slope =
              activation == Activation::relu
                  ? (vz[i] > 0 ? 1.0 : 0.0)
                  : (activate(activation, vz[i] + h) - activate(activation, vz[i] - h)) / (2 * h);
          want[i] = vdy[i] * slope;
          sums[i % static_cast<size_t>(shape[1])] += want[i];
        }
        const double unit = dtype == DType::bf16  ? std::ldexp(1.0, -8)
                            : dtype == DType::f32 ? 1e-6
                                                  : 1e-9;
        expect_near(dz, want, 1.2 * unit, "dz");
        expect_near(dbias, sums, 1.2 * unit * static_cast<double>(shape[0]), "dbias");
      }
    }
  }
}

}  // namespace
}  // namespace heed
