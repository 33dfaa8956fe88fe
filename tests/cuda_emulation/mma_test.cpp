// The emulated matrix instructions against the fragment tables, written out element by element.
#include "kernels/cuda/mma.h"

#include <gtest/gtest.h>

#include "core/random.h"
#include "core/tensor.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/shared.h"

namespace heed::kernels::cuda {
namespace {

constexpr Device kDevice{DeviceType::cuda, 0};

std::vector<float> numbers(size_t n, uint64_t purpose) {
  const RandomStream stream({3, purpose, 0});
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = 2.0f * stream.uniform(i) - 1.0f;
  return x;
}

template <class T>
__device__ uint32_t pair(T low, T high) {
  return low.bits | static_cast<uint32_t>(high.bits) << 16;
}

// a [16, 16] and b [16, 8] by hand from global memory.
template <class T>
__global__ void product(const T* a, const T* b, float* c) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  FragmentA fa;
  FragmentB fb;
  FragmentC fc{{1, 2, 3, 4}};
  for (int i = 0; i < 4; ++i) {
    const T* at = a + (g + i % 2 * 8) * 16 + 2 * t + i / 2 * 8;
    fa.r[i] = pair(at[0], at[1]);
  }
  for (int i = 0; i < 2; ++i) {
    const T* at = b + (2 * t + 8 * i) * 8 + g;
    fb.r[i] = pair(at[0], at[8]);
  }
  mma<T>(fc, fa, fb);
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = fc.r[i];
}

template <class T>
void expect_product() {
  const auto x = numbers(256, 1), y = numbers(128, 2);
  std::vector<T> a, b;
  for (const float v : x) a.emplace_back(v);
  for (const float v : y) b.emplace_back(v);
  const Tensor da = Tensor::from(a, {16, 16}).to(kDevice),
               db = Tensor::from(b, {16, 8}).to(kDevice);
  const Tensor dc = Tensor::empty({16, 8}, DType::f32, kDevice);
  launch(product<T>, 1, 32, 0, nullptr, da.data<T>(), db.data<T>(), dc.data<float>());
  const auto c = dc.to_vector<float>();
  for (size_t r = 0; r < 16; ++r) {
    for (size_t n = 0; n < 8; ++n) {
      double want = static_cast<double>(1 + r / 8 * 2 + n % 2);
      for (size_t k = 0; k < 16; ++k) {
        want +=
            static_cast<double>(float(a[r * 16 + k])) * static_cast<double>(float(b[k * 8 + n]));
      }
      EXPECT_NEAR(c[r * 8 + n], want, 1e-6) << r << ", " << n;
    }
  }
}

TEST(Mma, MultipliesFragments) {
  expect_product<bfloat16>();
  expect_product<float16>();
}

__global__ void product_tf32(const float* a, const float* b, float* c) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  FragmentA fa;
  FragmentB fb;
  FragmentC fc{};
  for (int i = 0; i < 4; ++i) fa.r[i] = to_tf32(a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
  for (int i = 0; i < 2; ++i) fb.r[i] = to_tf32(b[(t + 4 * i) * 8 + g]);
  mma_tf32(fc, fa, fb);
  for (int i = 0; i < 4; ++i) c[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = fc.r[i];
}

TEST(Mma, MultipliesTf32) {
  const auto a = numbers(128, 3), b = numbers(64, 4);
  const Tensor da = Tensor::from(a, {16, 8}).to(kDevice), db = Tensor::from(b, {8, 8}).to(kDevice);
  const Tensor dc = Tensor::empty({16, 8}, DType::f32, kDevice);
  launch(product_tf32, 1, 32, 0, nullptr, da.data<float>(), db.data<float>(), dc.data<float>());
  const auto c = dc.to_vector<float>();
  double error = 0;
  for (size_t r = 0; r < 16; ++r) {
    for (size_t n = 0; n < 8; ++n) {
      double want = 0;
      for (size_t k = 0; k < 8; ++k) want += double{a[r * 8 + k]} * double{b[k * 8 + n]};
      EXPECT_NEAR(c[r * 8 + n], want, 8 * 0x1p-10) << r << ", " << n;  // each factor to 2^-11
      error += std::abs(c[r * 8 + n] - want);
    }
  }
  EXPECT_GT(error, 1e-4) << "rounded to 10 bits of mantissa";
}

// A [16, 16] tile goes through shared memory by cp.async and comes back by ldmatrix.
struct Tile {
  alignas(16) uint16_t x[16][24];  // 48 bytes a row
};

template <bool kTransposed>
__global__ void through_shared(const uint16_t* from, uint32_t* to, bool waits) {
  Tile& tile = shared<Tile>();
  const int lane = static_cast<int>(threadIdx.x);
  cp_async_16(&tile.x[lane / 2][lane % 2 * 8], from + lane * 8, lane != 31);
  cp_async_commit();
  if (waits) cp_async_wait<0>();
  __syncthreads();
  uint32_t r[4];
  ldmatrix_x4<kTransposed>(r, &tile.x[lane % 16][lane / 16 * 8]);
  for (int i = 0; i < 4; ++i) to[lane * 4 + i] = r[i];
}

TEST(Mma, TilesGoThroughSharedMemory) {
  std::vector<int32_t> words(128);
  for (size_t i = 0; i < words.size(); ++i) {
    words[i] = static_cast<int32_t>(2 * i | (2 * i + 1) << 16);  // element (r, c) is 16 r + c
  }
  const Tensor from = Tensor::from(words, {128}).to(kDevice);
  const Tensor to = Tensor::empty({128}, DType::i32, kDevice);
  const auto* in = reinterpret_cast<const uint16_t*>(from.raw());
  auto* out = reinterpret_cast<uint32_t*>(to.raw());
  const auto element = [](int r, int c) { return r == 15 && c >= 8 ? 0 : 16 * r + c; };
  for (const bool transposed : {false, true}) {
    launch(transposed ? through_shared<true> : through_shared<false>, 1, 32, 0, nullptr, in, out,
           true);
    const auto got = to.to_vector<int32_t>();
    for (int lane = 0; lane < 32; ++lane) {
      for (int m = 0; m < 4; ++m) {
        const int g = lane / 4, t = lane % 4, row = m % 2 * 8, col = m / 2 * 8;
        const int low = transposed ? element(row + 2 * t, col + g) : element(row + g, col + 2 * t);
        const int high =
            transposed ? element(row + 2 * t + 1, col + g) : element(row + g, col + 2 * t + 1);
        EXPECT_EQ(got[static_cast<size_t>(4 * lane + m)], low | high << 16) << lane << ", " << m;
      }
    }
  }
  launch(through_shared<false>, 1, 32, 0, nullptr, in, out, false);
  EXPECT_EQ(to.to_vector<int32_t>()[0], -1) << "a copy that nobody waits for has not arrived";
}

}  // namespace
}  // namespace heed::kernels::cuda
