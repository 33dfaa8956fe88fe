// kernels/cuda/mma.h without its instructions: the same functions from the fragment tables of the
// PTX ISA.
#pragma once

#include <vector>

namespace heed::kernels::cuda {

namespace emulated {

/// Element `half` (0 or 1) of a register as T.
template <class T>
float element(uint32_t word, int half) {
  T value;
  value.bits = static_cast<uint16_t>(word >> (16 * half));
  return static_cast<float>(value);
}

/// One lane's operands.
struct Product {
  FragmentC* c;
  const FragmentA* a;
  const FragmentB* b;
};

/// c += a b, given how to read a [16, k] and b [k, 8] from a warp's lanes.
template <class ReadA, class ReadB>
void multiply(void** lanes, int depth, ReadA read_a, ReadB read_b) {
  float a[16][16], b[16][8];
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < depth; ++k) a[row][k] = read_a(lanes, row, k);
  }
  for (int k = 0; k < depth; ++k) {
    for (int col = 0; col < 8; ++col) b[k][col] = read_b(lanes, k, col);
  }
  for (int lane = 0; lane < 32; ++lane) {
    FragmentC& c = *static_cast<Product*>(lanes[lane])->c;
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + (i < 2 ? 0 : 8), col = lane % 4 * 2 + i % 2;
      double sum = c.r[i];
      for (int k = 0; k < depth; ++k) sum += static_cast<double>(a[row][k]) * b[k][col];
      c.r[i] = static_cast<float>(sum);
    }
  }
}

/// This thread's copies under way: groups of them, the last one open.
struct Copy {
  void* to;
  const void* from;
  bool valid;
};
std::vector<std::vector<Copy>>& copies_under_way();

}  // namespace emulated

template <class T>
void mma(FragmentC& c, const FragmentA& a, const FragmentB& b,
         emulation::Site site = emulation::Site::current()) {
  emulated::Product mine{&c, &a, &b};
  emulation::warp_together(
      0xffffffffu, &mine,
      [](void** lanes) {
        emulated::multiply(
            lanes, 16,
            [](void** all, int row, int k) {
              const auto* p = static_cast<emulated::Product*>(all[row % 8 * 4 + k % 8 / 2]);
              return emulated::element<T>(p->a->r[row / 8 + 2 * (k / 8)], k % 2);
            },
            [](void** all, int k, int col) {
              const auto* p = static_cast<emulated::Product*>(all[col * 4 + k % 8 / 2]);
              return emulated::element<T>(p->b->r[k / 8], k % 2);
            });
      },
      site);
}

inline void mma_tf32(FragmentC& c, const FragmentA& a, const FragmentB& b,
                     emulation::Site site = emulation::Site::current()) {
  emulated::Product mine{&c, &a, &b};
  const auto tf32 = [](uint32_t bits) { return std::bit_cast<float>(bits & ~0x1fffu); };
  emulation::warp_together(
      0xffffffffu, &mine,
      [tf32](void** lanes) {
        emulated::multiply(
            lanes, 8,
            [tf32](void** all, int row, int k) {
              const auto* p = static_cast<emulated::Product*>(all[row % 8 * 4 + k % 4]);
              return tf32(p->a->r[row / 8 + 2 * (k / 4)]);
            },
            [tf32](void** all, int k, int col) {
              const auto* p = static_cast<emulated::Product*>(all[col * 4 + k % 4]);
              return tf32(p->b->r[k / 4]);
            });
      },
      site);
}

inline uint32_t to_tf32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  return (bits + 0x1000u) & ~0x1fffu;
}

inline uint32_t pack_bf16(float low, float high) {
  return bfloat16(low).bits | static_cast<uint32_t>(bfloat16(high).bits) << 16;
}

template <bool kTransposed, int kMatrices>
void ldmatrix(uint32_t (&r)[kMatrices], const void* row, emulation::Site site) {
  struct Lane {
    uint32_t* r;
    const uint16_t* row;
  } mine{r, static_cast<const uint16_t*>(row)};
  if (emulation::current().lane() < 8 * kMatrices && reinterpret_cast<uintptr_t>(row) % 16 != 0) {
    emulation::fail_thread("ldmatrix: a row is not aligned to 16 bytes");
  }
  emulation::warp_together(
      0xffffffffu, &mine,
      [](void** lanes) {
        const auto element = [&](int matrix, int i, int j) -> uint32_t {
          return static_cast<Lane*>(lanes[8 * matrix + i])->row[j];
        };
        for (int lane = 0; lane < 32; ++lane) {
          const int g = lane / 4, t = lane % 4;
          for (int m = 0; m < kMatrices; ++m) {
            const uint32_t low = kTransposed ? element(m, 2 * t, g) : element(m, g, 2 * t);
            const uint32_t high = kTransposed ? element(m, 2 * t + 1, g) : element(m, g, 2 * t + 1);
            static_cast<Lane*>(lanes[lane])->r[m] = low | high << 16;
          }
        }
      },
      site);
}

template <bool kTransposed = false>
void ldmatrix_x4(uint32_t (&r)[4], const void* row,
                 emulation::Site site = emulation::Site::current()) {
  ldmatrix<kTransposed, 4>(r, row, site);
}
template <bool kTransposed = false>
void ldmatrix_x2(uint32_t (&r)[2], const void* row,
                 emulation::Site site = emulation::Site::current()) {
  ldmatrix<kTransposed, 2>(r, row, site);
}

// A copy arrives when it is waited for, not before: a forgotten wait reads what lay there.
inline void cp_async_16(void* to, const void* from, bool valid = true) {
  if (reinterpret_cast<uintptr_t>(to) % 16 != 0 ||
      (valid && reinterpret_cast<uintptr_t>(from) % 16 != 0)) {
    emulation::fail_thread("cp.async: an address is not aligned to 16 bytes");
  }
  emulated::copies_under_way().back().push_back({to, from, valid});
}
inline void cp_async_commit() { emulated::copies_under_way().emplace_back(); }

template <int kPending>
void cp_async_wait() {
  auto& groups = emulated::copies_under_way();
  while (groups.size() > kPending + 1) {
    for (const emulated::Copy& copy : groups.front()) {
      if (copy.valid) {
        std::memcpy(copy.to, copy.from, 16);
      } else {
        std::memset(copy.to, 0, 16);
      }
    }
    groups.erase(groups.begin());
  }
}

}  // namespace heed::kernels::cuda
