// kernels/cuda/hopper.h without its instructions. Copies by the copy engine come as late as they
// can in ascending order, at once in descending order, at any time when shuffled: whoever reads
// without having waited sees what lay there before, whoever hands memory back too early loses it.
#pragma once

namespace heed::kernels::cuda {

uint32_t shared_address(const void* at);

void make_barrier(Barrier& barrier, int arrivals);
inline void barriers_made() {}
void arrive(Barrier& barrier, int arrivals = 1);
void arrive_expecting(Barrier& barrier, int bytes);
bool passed(Barrier& barrier, int parity);
void wait(Barrier& barrier, int parity, EmulatedSite site = EmulatedSite::current());

void copy_box(void* to, const TensorMap& map, Barrier& barrier, int column, int row, int head,
              int batch);
void copy_bytes(void* to, const void* from, int bytes, Barrier& barrier);
inline void prefetch(const TensorMap&) {}
inline void show_to_engines() {}

void meet(int number, int threads, EmulatedSite site = EmulatedSite::current());
void pass(int number, int threads);

namespace emulated {

/// Waits for the 128 threads of the warpgroup, all of which must come from one place; the last of
/// them to come calls act(mine[128]) for all.
void warpgroup_together(void* mine, const std::function<void(void**)>& act, EmulatedSite site);

/// What each thread of the warpgroup has from now on; all of the block's together must exist.
void set_registers(int count, EmulatedSite site);

}  // namespace emulated

template <int kCount>
void give_registers(EmulatedSite site = EmulatedSite::current()) {
  static_assert(kCount % 8 == 0 && kCount >= 24 && kCount <= 256);
  emulated::set_registers(kCount, site);
}
template <int kCount>
void take_registers(EmulatedSite site = EmulatedSite::current()) {
  static_assert(kCount % 8 == 0 && kCount >= 24 && kCount <= 256);
  emulated::set_registers(kCount, site);
}

}  // namespace heed::kernels::cuda
