// The emulator's core: a grid's blocks run one after the other, a block's threads as fibers that
// switch where they wait for each other. Between two waits a thread runs alone, and the order in
// which threads (and blocks) get their turns is a setting: a result that depends on it is a race.
#pragma once

#include <array>
#include <functional>
#include <source_location>
#include <string>
#include <vector>

#include "emulation_order.h"

namespace emulation {

using Site = std::source_location;

struct Block;

/// A thread of the block that runs.
struct Thread {
  uint3 thread_index;
  Block* block;
  int number;  ///< in the block
  int lane() const { return number % 32; }

  enum class State { ready, at_barrier, in_warp, waiting, done } state = State::ready;
  Site site{};                                             ///< where it waits
  bool (*over)(const void* of, uint64_t value) = nullptr;  ///< waiting: until over(of, value)
  const void* of = nullptr;
  uint64_t value = 0;
  int vote = 0;  ///< brought to a barrier
  void* stack_at = nullptr;
};

struct Block {
  uint3 block_index;
  dim3 block_dim, grid_dim;
};

/// The thread that runs now.
extern Thread* running;
inline Thread& current() { return *running; }

/// Waits for all threads of the block; the sum of their votes.
int block_barrier(int vote, Site site);

/// Waits for the lanes of `mask`; the last of them to come calls act(mine[32]) for all, null for
/// lanes outside. All must come from one place in the source: lanes that come from two wait for
/// each other in vain, which is an Error.
void warp_together(unsigned mask, void* mine, const std::function<void(void**)>& act, Site site);

/// Waits until over(of, value), which other threads or the engines bring about.
void wait_until(bool (*over)(const void* of, uint64_t value), const void* of, uint64_t value,
                Site site);

/// Ends the launch with an Error that names block and thread.
[[noreturn]] void fail_thread(const std::string& what);

/// The block's static shared memory of the type behind `tag`, and its dynamic one.
void* static_shared(size_t bytes, const void* tag);
void* dynamic_shared();
template <class T>
const void* type_tag() {
  static const char tag = 0;
  return &tag;
}

/// Runs the grid. Returns a cudaError_t: 9 for sizes that no device takes.
int run_grid(dim3 grid, dim3 block, size_t dynamic_bytes, const void* kernel,
             const std::function<void()>& body);

template <class T, class From>
T shuffle(unsigned mask, T value, int width, Site site, From from) {
  struct Lane {
    T mine, got;
    From from;
    int width;
  } lane{value, value, from, width};
  warp_together(
      mask, &lane,
      [](void** lanes) {
        for (int i = 0; i < 32; ++i) {
          auto* own = static_cast<Lane*>(lanes[i]);
          if (own == nullptr) continue;
          const int source = own->from(i);
          // a lane that takes no part has nothing to give
          if (source >= 0 && source < 32 && lanes[source] != nullptr) {
            own->got = static_cast<Lane*>(lanes[source])->mine;
          } else {
            std::memset(static_cast<void*>(&own->got), 0xff, sizeof(T));
          }
        }
      },
      site);
  return lane.got;
}

inline unsigned ballot(unsigned mask, bool predicate, Site site) {
  struct Lane {
    bool predicate;
    unsigned votes;
  } lane{predicate, 0};
  warp_together(
      mask, &lane,
      [](void** lanes) {
        unsigned votes = 0;
        for (int i = 0; i < 32; ++i) {
          if (lanes[i] != nullptr && static_cast<Lane*>(lanes[i])->predicate) votes |= 1u << i;
        }
        for (int i = 0; i < 32; ++i) {
          if (lanes[i] != nullptr) static_cast<Lane*>(lanes[i])->votes = votes;
        }
      },
      site);
  return lane.votes;
}

// ---- Device memory. ----------------------------------------------------------------------------

/// Blocks end at a page that nobody may touch, begin with 0xff in every byte, and are never handed
/// out twice. Where the processor has protection keys, the host may not touch them either.
void* allocate_device(size_t bytes);
void free_device(void* block);
bool is_device_memory(const void* at);
/// Whether the host may not touch device memory (the processor has protection keys).
bool host_is_locked_out();

/// While it lives, this thread may touch device memory: around launches and copies.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;

 private:
  bool outermost_;
};

}  // namespace emulation
