// Warpgroups and their products (kernels/cuda/wgmma.h): four warps that come together, registers
// that change hands, and products in flight until they are waited for.
#include <algorithm>
#include <array>
#include <memory>

#include "core/op_call.h"
#include "cuda_runtime.h"
#include "engines.h"
#include "kernels/cuda/wgmma.h"

namespace heed::kernels::cuda {
namespace {

struct GroupMeeting {
  emulation::Site site;
  int arrived = 0;
  std::array<void*, kWarpgroup> threads;
};

struct Warpgroup {
  std::vector<GroupMeeting> meetings;  // one, unless threads come from different places
  uint64_t met = 0;
  int registers = 0;
};

// What a product read of shared memory.
struct Operands {
  std::vector<std::pair<const uint16_t*, uint16_t>> elements;
};

struct InFlight {
  FragmentC* d;
  std::vector<FragmentC> result;
  uint64_t group;
  std::vector<std::shared_ptr<const Operands>> operands;  // of all its steps
};

struct ThreadProducts {
  std::vector<InFlight> in_flight;
  uint64_t groups = 0;  // ended
  bool begun = false;
};

struct State {
  std::vector<Warpgroup> warpgroups;
  std::vector<ThreadProducts> products;
};

State& state() {
  static auto* s = new State;
  return *s;
}

}  // namespace

namespace emulated {

void warpgroup_together(void* mine, const std::function<void(void**)>& act, EmulatedSite site) {
  const int number = emulation::current().number;
  Warpgroup& group = state().warpgroups[static_cast<size_t>(number / kWarpgroup)];
  auto meeting = std::find_if(group.meetings.begin(), group.meetings.end(), [&](GroupMeeting& m) {
    return m.site.line() == site.line() && m.site.column() == site.column() &&
           std::string_view(m.site.file_name()) == site.file_name();
  });
  if (meeting == group.meetings.end())
    meeting = group.meetings.insert(group.meetings.end(), GroupMeeting{site, 0, {}});
  static char nothing;
  meeting->threads[static_cast<size_t>(number % kWarpgroup)] = mine != nullptr ? mine : &nothing;
  if (++meeting->arrived < kWarpgroup) {
    return emulation::wait_until(
        [](const void* of, uint64_t before) {
          return static_cast<const Warpgroup*>(of)->met != before;
        },
        &group, group.met, site);
  }
  act(meeting->threads.data());
  group.meetings.erase(meeting);
  ++group.met;
}

void set_registers(int count, EmulatedSite site) {
  warpgroup_together(
      nullptr,
      [count](void**) {
        const auto number = static_cast<size_t>(emulation::current().number);
        state().warpgroups[number / kWarpgroup].registers = count;
        // the block has what its threads began with: an even share of 65536, a multiple of 8
        const auto threads = static_cast<int>(state().products.size());
        int all = 0;
        for (const Warpgroup& group : state().warpgroups) all += kWarpgroup * group.registers;
        if (all > 65536 / threads / 8 * 8 * threads)
          emulation::fail_thread("warpgroups take more registers than the block has");
      },
      site);
}

namespace {

ThreadProducts& mine_of(int number) { return state().products[static_cast<size_t>(number)]; }

// A matrix of 16-bit elements in shared memory: line x of M or N, depth k.
class SharedMatrix {
 public:
  SharedMatrix(uint64_t descriptor, Depth depth, Operands& operands)
      : descriptor_(descriptor), depth_(depth), operands_(operands) {
    if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0)
      emulation::fail_thread("a descriptor that is not of the 128-byte swizzle");
  }
  float at(int x, int k) {
    const int along = depth_ == Depth::along_columns ? k : x;
    const int across = depth_ == Depth::along_columns ? x : k;
    const uint32_t address =
        field(0) +
        static_cast<uint32_t>(along / kPanelColumns * static_cast<int>(field(16)) +
                              along % kPanelColumns * 2 + across / 8 * static_cast<int>(field(32)) +
                              across % 8 * kPanelRow);
    // the swizzle is of the whole address
    const auto* element =
        reinterpret_cast<const uint16_t*>(emulation::shared_at(address ^ (address >> 7 & 7) << 4));
    if (element == nullptr) emulation::fail_thread("a product reads outside dynamic shared memory");
    operands_.elements.emplace_back(element, *element);
    return emulated::element<bfloat16>(*element, 0);
  }

 private:
  uint32_t field(int first) const {
    return static_cast<uint32_t>(descriptor_ >> first & 0x3fff) << 4;
  }
  uint64_t descriptor_;
  Depth depth_;
  Operands& operands_;
};

const GroupProduct& product_of(void** threads, int i) {
  return *static_cast<const GroupProduct*>(threads[i]);
}

// What the accumulator of a thread is by now, in flight or not.
const FragmentC* present(int number, const GroupProduct& p) {
  const auto& list = mine_of(number).in_flight;
  for (auto at = list.rbegin(); at != list.rend(); ++at)
    if (at->d == p.d) return at->result.data();
  return p.d;
}

void multiply_all(void** threads) {
  const int first = emulation::current().number / kWarpgroup * kWarpgroup;
  const GroupProduct& p = product_of(threads, 0);
  for (int i = 1; i < kWarpgroup; ++i) {
    const GroupProduct& other = product_of(threads, i);
    if (other.a != p.a || other.b != p.b || other.add != p.add)
      emulation::fail_thread("threads of a warpgroup disagree on a product");
  }
  const auto operands = std::make_shared<Operands>();
  const int columns = 8 * p.fragments;
  float a[64][16], b[16][128], d[64][128];
  SharedMatrix shared_b(p.b, p.depth, *operands);
  for (int n = 0; n < columns; ++n)
    for (int k = 0; k < 16; ++k) b[k][n] = shared_b.at(n, k);
  if (p.a_registers == nullptr) {
    SharedMatrix shared_a(p.a, Depth::along_columns, *operands);
    for (int m = 0; m < 64; ++m)
      for (int k = 0; k < 16; ++k) a[m][k] = shared_a.at(m, k);
  }
  for (int i = 0; i < kWarpgroup; ++i) {
    const int row = i / 32 * 16 + i % 32 / 4, t = i % 4;
    const GroupProduct& own = product_of(threads, i);
    const FragmentC* before = present(first + i, own);
    for (int n = 0; n < p.fragments; ++n)
      for (int e = 0; e < 4; ++e)
        d[row + e / 2 * 8][8 * n + 2 * t + e % 2] = p.add ? before[n].r[e] : 0.0f;
    for (int e = 0; e < 8 && own.a_registers != nullptr; ++e) {
      const uint32_t word = own.a_registers->r[e / 2];
      a[row + e / 2 % 2 * 8][2 * t + e / 4 * 8 + e % 2] = emulated::element<bfloat16>(word, e % 2);
    }
  }
  for (int m = 0; m < 64; ++m)
    for (int k = 0; k < 16; ++k)
      for (int n = 0; n < columns; ++n) d[m][n] += a[m][k] * b[k][n];
  for (int i = 0; i < kWarpgroup; ++i) {
    const int row = i / 32 * 16 + i % 32 / 4, t = i % 4;
    FragmentC* const to = product_of(threads, i).d;
    ThreadProducts& mine = mine_of(first + i);
    InFlight result{to, std::vector<FragmentC>(static_cast<size_t>(p.fragments)), mine.groups, {}};
    for (int n = 0; n < p.fragments; ++n) {
      for (int e = 0; e < 4; ++e) {
        result.result[static_cast<size_t>(n)].r[e] = d[row + e / 2 * 8][8 * n + 2 * t + e % 2];
        to[n].r[e] = __uint_as_float(0xffffffffu);
      }
    }
    std::erase_if(mine.in_flight, [&](InFlight& f) {
      if (f.d != to || f.group != mine.groups) return false;
      result.operands = std::move(f.operands);
      return true;
    });
    // the first warp's word is enough, and the last one's, which comes last in order
    if (i == 0 || i == kWarpgroup - 1) result.operands.push_back(operands);
    mine.in_flight.push_back(std::move(result));
  }
}

}  // namespace

void multiply_group(const GroupProduct& mine, emulation::Site site) {
  if (!mine_of(emulation::current().number).begun)
    emulation::fail_thread("a product before begin_products()");
  GroupProduct copy = mine;
  warpgroup_together(&copy, multiply_all, site);
}

void finish_products(int pending, const FragmentC* d) {
  ThreadProducts& mine = mine_of(emulation::current().number);
  mine.begun = false;
  auto& list = mine.in_flight;
  for (size_t i = 0; i < list.size();) {
    InFlight& f = list[i];
    if (f.group + static_cast<uint64_t>(pending) >= mine.groups) {
      if (f.d == d) emulation::fail_thread("a product is read that was not waited for");
      ++i;
      continue;
    }
    for (const auto& operands : f.operands) {
      for (const auto& [element, value] : operands->elements) {
        if (*element != value)
          emulation::fail_thread("shared memory changed under a product that reads it");
      }
    }
    const bool goes_on = std::any_of(list.begin() + static_cast<std::ptrdiff_t>(i) + 1, list.end(),
                                     [&](const InFlight& later) { return later.d == f.d; });
    if (!goes_on) std::copy(f.result.begin(), f.result.end(), f.d);
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace emulated

uint64_t panel_descriptor(const void* at, int next_panel) {
  const auto encoded = [](uint64_t bytes) { return (bytes & 0x3ffff) >> 4; };
  return encoded(shared_address(at)) | encoded(static_cast<uint64_t>(next_panel)) << 16 |
         encoded(8 * kPanelRow) << 32 | uint64_t{1} << 62;
}

void begin_products() { emulated::mine_of(emulation::current().number).begun = true; }
void end_products() { ++emulated::mine_of(emulation::current().number).groups; }

}  // namespace heed::kernels::cuda

void emulation::reset_warpgroups(size_t threads) {
  auto& s = heed::kernels::cuda::state();
  s.warpgroups.assign(
      (threads + heed::kernels::cuda::kWarpgroup - 1) / heed::kernels::cuda::kWarpgroup, {});
  s.products.assign(threads, {});
}
