// kernels/cuda/wgmma.h without its instructions. A product reads its operands when it is asked for
// and must find them unchanged when it is waited for; until then its accumulators hold no numbers.
#pragma once

namespace heed::kernels::cuda {

uint64_t panel_descriptor(const void* at, int next_panel = 0);

void begin_products();
void end_products();

namespace emulated {

/// One thread's part of a product.
struct GroupProduct {
  FragmentC* d;
  int fragments;
  const FragmentA* a_registers;  ///< or null
  uint64_t a, b;                 ///< descriptors
  Depth depth;                   ///< of b
  bool add;
};
void multiply_group(const GroupProduct& mine, emulation::Site site);
/// Gives this thread the results of all groups but the newest; d must be among them, if anywhere.
void finish_products(int pending, const FragmentC* d);

}  // namespace emulated

template <int kPending, int kFragments>
void finished(FragmentC (&d)[kFragments]) {
  emulated::finish_products(kPending, d);
}

template <Depth kDepth>
void multiply(FragmentC (&d)[8], uint64_t a, uint64_t b, bool add,
              emulation::Site site = emulation::Site::current()) {
  emulated::multiply_group({d, 8, nullptr, a, b, kDepth, add}, site);
}
template <Depth kDepth, int kFragments>
void multiply(FragmentC (&d)[kFragments], const FragmentA& a, uint64_t b, bool add,
              emulation::Site site = emulation::Site::current()) {
  static_assert(kFragments == 8 || kFragments == 16);
  emulated::multiply_group({d, kFragments, &a, 0, b, kDepth, add}, site);
}

}  // namespace heed::kernels::cuda
