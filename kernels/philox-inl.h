// Philox 4x32-10 with a block in each SIMD lane (core/random.h has the function itself).
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_PHILOX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_PHILOX_INL_H_
#undef HEED_KERNELS_PHILOX_INL_H_
#else
#define HEED_KERNELS_PHILOX_INL_H_
#endif

#include "core/random.h"
#include "kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace heed::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// High and low words of 32 x 32 bit products.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void multiply_wide(D d, V a, V b, V& high, V& low) {
  const hn::RepartitionToWide<D> d64;
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, a))),
                               hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, b))));
  low = hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
  high = hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even)));
}

/// Replaces the counters (c0, c1, c2, c3) by their blocks.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void philox(D d, std::array<uint32_t, 2> key, V& c0, V& c1, V& c2, V& c3) {
  const V m0 = hn::Set(d, 0xD2511F53u), m1 = hn::Set(d, 0xCD9E8D57u);
  for (int round = 0; round < 10; ++round) {
    V high0, low0, high1, low1;
    multiply_wide(d, c0, m0, high0, low0);
    multiply_wide(d, c2, m1, high1, low1);
    c0 = hn::Xor(hn::Xor(high1, c1), hn::Set(d, key[0]));
    c2 = hn::Xor(hn::Xor(high0, c3), hn::Set(d, key[1]));
    c1 = low1;
    c3 = low0;
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
}

/// Blocks first, first + 1, ... of a stream, one a lane.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void philox_blocks(D d, const RandomStream& stream, uint64_t first, V& c0, V& c1, V& c2,
                              V& c3) {
  const V low = hn::Set(d, static_cast<uint32_t>(first));
  c0 = hn::Add(low, hn::Iota(d, 0));
  // the carry out of the low word
  const V carry = hn::IfThenElseZero(hn::Lt(c0, low), hn::Set(d, 1));
  c1 = hn::Add(hn::Set(d, static_cast<uint32_t>(first >> 32)), carry);
  c2 = hn::Set(d, stream.counter_high()[0]);
  c3 = hn::Set(d, stream.counter_high()[1]);
  philox(d, stream.philox_key(), c0, c1, c2, c3);
}

}  // namespace heed::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
