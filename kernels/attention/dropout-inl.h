// The dropout mask of a tile: Philox with a query in each lane. A block of it covers four
// neighbouring keys, which are four rows of the tile.
//
// Included once for each instruction set, after kernels/simd.h, within no namespace.
#if defined(HEED_KERNELS_ATTENTION_DROPOUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_ATTENTION_DROPOUT_INL_H_
#undef HEED_KERNELS_ATTENTION_DROPOUT_INL_H_
#else
#define HEED_KERNELS_ATTENTION_DROPOUT_INL_H_
#endif

#include "kernels/attention/micro-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels::attn::HWY_NAMESPACE {

using U = hn::RebindToUnsigned<F>;
using VU = hn::Vec<U>;

/// High and low words of a 32 x 32 bit product.
HWY_INLINE void multiply(VU a, uint32_t by, VU& high, VU& low) {
  const hn::RepartitionToWide<U> d64;
  const U d;
  const VU b = hn::Set(d, by);
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(d64, a))), b);
  low = hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
  high = hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even)));
}

/// The survivors among rows of kLanes queries: see DropoutMask.
class TileDropout {
 public:
  TileDropout(const DropoutMask& mask, int64_t first_query, int w)
      : key_(mask.stream().philox_key()),
        high_(mask.stream().counter_high()),
        keys_(mask.keys()),
        aligned_(keys_.step == 1 && keys_.first % 4 == 0),
        threshold_(hn::Set(U(), mask.threshold())) {
    HWY_ALIGN uint32_t low[kLanes], high[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      const int64_t query = mask.queries()[first_query + w * kLanes + i];
      const uint64_t block = static_cast<uint64_t>(query) << 30;
      low[i] = static_cast<uint32_t>(block);
      high[i] = static_cast<uint32_t>(block >> 32);
    }
    low_ = hn::Load(U(), low);
    middle_ = hn::Load(U(), high);
  }

  /// Calls fn(r, kept) for the keys first_key + r, r = 0 .. 3; first_key is a multiple of 4.
  template <class Fn>
  HWY_INLINE void for_keys(int64_t first_key, const Fn& fn) const {
    VU words[4];
    if (aligned_) {
      draw((keys_.first + first_key) / 4, words);
      for (int r = 0; r < 4; ++r) fn(r, kept(words[r]));
      return;
    }
    int64_t drawn = -1;
    for (int r = 0; r < 4; ++r) {
      const int64_t key = keys_[first_key + r];
      if (key / 4 != drawn) draw(drawn = key / 4, words);
      fn(r, kept(words[key % 4]));
    }
  }

 private:
  /// The words of keys 4 quad .. 4 quad + 3.
  HWY_INLINE void draw(int64_t quad, VU* words) const {
    // The quad fits in 30 bits: it does not carry out of the low word's lower part.
    VU c0 = hn::Add(low_, hn::Set(U(), static_cast<uint32_t>(quad))), c1 = middle_;
    VU c2 = hn::Set(U(), high_[0]), c3 = hn::Set(U(), high_[1]);
    uint32_t k0 = key_[0], k1 = key_[1];
    for (int round = 0; round < 10; ++round) {
      VU a_high, a_low, b_high, b_low;
      multiply(c0, 0xD2511F53u, a_high, a_low);
      multiply(c2, 0xCD9E8D57u, b_high, b_low);
      c0 = hn::Xor(hn::Xor(b_high, c1), hn::Set(U(), k0));
      c1 = b_low;
      c2 = hn::Xor(hn::Xor(a_high, c3), hn::Set(U(), k1));
      c3 = a_low;
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
  }
  HWY_INLINE hn::Mask<F> kept(VU word) const {
    return hn::RebindMask(kF, hn::Not(hn::Lt(word, threshold_)));
  }

  std::array<uint32_t, 2> key_, high_;
  TokenRun keys_;
  bool aligned_;
  VU threshold_, low_, middle_;
};

}  // namespace heed::kernels::attn::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
