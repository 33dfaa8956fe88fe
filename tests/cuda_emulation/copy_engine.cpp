// The copy engine of sm_90a beside a block's threads, with the barriers that it and they arrive at
// (kernels/cuda/hopper.h).
#include <algorithm>
#include <array>
#include <deque>
#include <map>

#include "core/error.h"
#include "core/op_call.h"
#include "cuda_runtime.h"
#include "engines.h"
#include "kernels/cuda/wgmma.h"

namespace heed::kernels::cuda {
namespace {

// Not aligned to a swizzle's pattern, as a device's need not be.
constexpr uint32_t kWindow = 1024 + 256;

struct BarrierState {
  int expected = 0, pending = 0;
  int64_t bytes = 0;   // expected and not come yet; may be negative for a while
  uint64_t phase = 0;  // the present one
};

struct NamedBarrier {
  int arrived = 0, threads = 0;
  uint64_t times = 0;
};

struct Engine {
  std::map<const void*, BarrierState> barriers;
  std::map<int, NamedBarrier> named;
  std::deque<std::function<void()>> copies;
};

Engine& engine() {
  static auto* e = new Engine;
  return *e;
}

BarrierState& state_of(const Barrier& barrier) {
  const auto found = engine().barriers.find(&barrier);
  if (found == engine().barriers.end()) emulation::fail_thread("a barrier that nobody made");
  return found->second;
}

void settle(BarrierState& b) {
  if (b.pending > 0 || b.bytes != 0) return;
  b.pending = b.expected;
  ++b.phase;
}

void begin_copy(std::function<void()> copy) {
  if (emulation::happens_now()) return copy();
  engine().copies.push_back(std::move(copy));
}

std::byte* swizzled(std::byte* at) {
  const uint32_t address = shared_address(at);
  return at - address + (address ^ (address >> 7 & 7) << 4);
}

// As map_of leaves it.
struct MapContents {
  uint64_t magic;
  MappedTensor tensor;
  int box_rows;
};
constexpr uint64_t kMapMagic = 0x6865656465642121;
static_assert(sizeof(MapContents) <= sizeof(TensorMap));

}  // namespace

TensorMap map_of(const MappedTensor& tensor, int box_rows) {
  if (!can_map(tensor) || box_rows < 1 || box_rows > 256) fail("a tensor that has no map");
  TensorMap map{};
  const MapContents contents{kMapMagic, tensor, box_rows};
  std::memcpy(&map, &contents, sizeof contents);
  return map;
}

uint32_t shared_address(const void* at) {
  const auto range = emulation::dynamic_range();
  const auto offset = static_cast<const std::byte*>(at) - range.data;
  if (offset < 0 || offset > static_cast<std::ptrdiff_t>(range.bytes))
    emulation::fail_thread("an address outside dynamic shared memory");
  return kWindow + static_cast<uint32_t>(offset);
}

// ---- Barriers. ---------------------------------------------------------------------------------

void make_barrier(Barrier& barrier, int arrivals) {
  if (reinterpret_cast<uintptr_t>(&barrier) % 8 != 0)
    emulation::fail_thread("a barrier is not aligned to 8 bytes");
  engine().barriers[&barrier] = {arrivals, arrivals};
}

void arrive(Barrier& barrier, int arrivals) {
  BarrierState& b = state_of(barrier);
  if (b.pending < arrivals)
    emulation::fail_thread("more threads arrive than a barrier is made for");
  b.pending -= arrivals;
  settle(b);
}

void arrive_expecting(Barrier& barrier, int bytes) {
  state_of(barrier).bytes += bytes;
  arrive(barrier);
}

bool passed(Barrier& barrier, int parity) {
  return state_of(barrier).phase % 2 != static_cast<uint64_t>(parity) && emulation::happens_now();
}

void wait(Barrier& barrier, int parity, EmulatedSite site) {
  emulation::wait_until(
      [](const void* of, uint64_t wanted) {
        return static_cast<const BarrierState*>(of)->phase % 2 != wanted;
      },
      &state_of(barrier), static_cast<uint64_t>(parity), site);
}

namespace {

void meet_or_pass(int number, int threads, bool waits, EmulatedSite site) {
  if (number < 1 || number > 15 || threads % 32 != 0)
    emulation::fail_thread("a barrier of some warps that no device has");
  NamedBarrier& b = engine().named[number];
  if (b.arrived == 0) b.threads = threads;
  if (b.threads != threads) emulation::fail_thread("threads disagree on who meets at a barrier");
  const uint64_t times = b.times;
  if (++b.arrived == threads) {
    b.arrived = 0;
    ++b.times;
  }
  if (!waits) return;
  emulation::wait_until(
      [](const void* of, uint64_t before) {
        return static_cast<const NamedBarrier*>(of)->times != before;
      },
      &b, times, site);
}

}  // namespace

void meet(int number, int threads, EmulatedSite site) { meet_or_pass(number, threads, true, site); }
void pass(int number, int threads) {
  meet_or_pass(number, threads, false, EmulatedSite::current());
}

// ---- The copy engine. --------------------------------------------------------------------------

void copy_box(void* to, const TensorMap& map, Barrier& barrier, int column, int row, int head,
              int batch) {
  MapContents m;
  std::memcpy(static_cast<void*>(&m), &map, sizeof m);
  if (m.magic != kMapMagic) emulation::fail_thread("a copy by what is no tensor map");
  if (shared_address(to) % 1024 != 0)
    emulation::fail_thread("a box is copied to what is not aligned to 1024 bytes");
  BarrierState* const done = &state_of(barrier);
  begin_copy([=] {
    const MappedTensor& t = m.tensor;
    const auto* from =
        static_cast<const uint16_t*>(t.data) + batch * t.batch_stride + head * t.head_stride;
    const bool exists = batch >= 0 && batch < t.batch && head >= 0 && head < t.heads;
    for (int r = 0; r < m.box_rows; ++r) {
      for (int c = 0; c < kPanelColumns; ++c) {
        const bool inside =
            exists && row + r >= 0 && row + r < t.rows && column + c >= 0 && column + c < t.columns;
        const uint16_t value = inside ? from[(row + r) * t.row_stride + column + c] : uint16_t{0};
        std::byte* at = static_cast<std::byte*>(to) + r * kPanelRow + c * 2;
        std::memcpy(swizzled(at), &value, 2);
      }
    }
    done->bytes -= m.box_rows * kPanelRow;
    settle(*done);
  });
}

void copy_bytes(void* to, const void* from, int bytes, Barrier& barrier) {
  if (bytes % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0 ||
      shared_address(to) % 16 != 0)
    emulation::fail_thread("a copy of bytes that are not aligned to 16");
  BarrierState* const done = &state_of(barrier);
  begin_copy([=] {
    std::memcpy(to, from, static_cast<size_t>(bytes));
    done->bytes -= bytes;
    settle(*done);
  });
}

}  // namespace heed::kernels::cuda

namespace emulation {

using heed::kernels::cuda::engine;
using heed::kernels::cuda::kWindow;

std::byte* shared_at(uint32_t address) {
  const SharedRange range = dynamic_range();
  if (address < kWindow || address >= kWindow + range.bytes) return nullptr;
  return range.data + (address - kWindow);
}

void reset_copy_engine() { engine() = {}; }

bool run_copy_engine() {
  auto& copies = engine().copies;
  if (copies.empty()) return false;
  const auto copy = std::move(copies.front());
  copies.pop_front();
  copy();
  return true;
}

}  // namespace emulation
