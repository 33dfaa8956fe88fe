#include <cuda_runtime.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <span>

#include "core/error.h"
#include "core/op_call.h"
#include "core/random.h"
#include "engines.h"
#include "fiber.h"
#include "guarded.h"
#include "kernels/cuda/mma.h"

namespace emulation {

Thread* running = nullptr;

namespace {

constexpr int kMaxThreads = 1024;
constexpr size_t kStaticShared = 48 << 10;

using Copies = std::vector<std::vector<heed::kernels::cuda::emulated::Copy>>;

// Lanes of a warp that wait for others of their mask.
struct Meeting {
  unsigned mask, arrived;
  std::array<void*, 32> lanes;
  Site site;
};

bool same(const Site& a, const Site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::string_view(a.file_name()) == b.file_name();
}

std::string text(const Site& site) {
  const std::string_view file = site.file_name();
  return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), site.line());
}

std::string text(const uint3& i) { return fmt::format("({}, {}, {})", i.x, i.y, i.z); }

struct Machine {
  Order order = Order::ascending;
  uint64_t seed = 1, turns = 0;
  int64_t launches = 0;

  const std::function<void()>* body = nullptr;
  Block block;
  std::vector<Thread> threads;
  std::vector<std::vector<Meeting>> meetings;  // of each warp
  std::vector<Copies> copies;                  // of each thread
  std::string failure;
  int votes = 0;

  std::map<const void*, Guarded> static_shared;
  std::vector<const void*> static_used;  // by the block that runs
  size_t static_bytes = 0;
  Guarded dynamic;
  size_t dynamic_bytes = 0;

  std::unique_ptr<Fibers> fibers;
  std::vector<int> turn;
};

Machine& machine() {
  static auto* m = new Machine;
  return *m;
}

void run_thread() {
  Machine& m = machine();
  while (true) {  // a fiber is reset before it begins again, so this runs once
    (*m.body)();
    running->state = Thread::State::done;
    m.fibers->switch_back();
  }
}

void wait() { machine().fibers->switch_back(); }

std::string name_of(const Thread& t) {
  return fmt::format("thread {} of block {}", text(t.thread_index), text(t.block->block_index));
}

[[noreturn]] void fail_launch(const std::string& what) {
  running = nullptr;
  const heed::OpCall* call = heed::OpCall::current();
  heed::fail("{}: {}", call == nullptr ? "a kernel" : call->to_string(), what);
}

// The order of the next interval.
void take_turns(Machine& m) {
  const int n = static_cast<int>(m.threads.size());
  m.turn.resize(m.threads.size());
  std::iota(m.turn.begin(), m.turn.end(), 0);
  if (m.order == Order::descending) std::reverse(m.turn.begin(), m.turn.end());
  if (m.order == Order::shuffled) {
    const heed::RandomStream stream({m.seed, heed::hash_name("turns"), m.turns++});
    for (int i = n - 1; i > 0; --i) {
      std::swap(m.turn[static_cast<size_t>(i)],
                m.turn[static_cast<size_t>(stream.word(static_cast<uint64_t>(i))) %
                       static_cast<size_t>(i + 1)]);
    }
  }
}

// Lets all threads that wait at the barrier go on; a message when they must not.
std::string open_barrier(Machine& m) {
  const Thread* first = nullptr;
  for (const Thread& t : m.threads) {
    if (t.state == Thread::State::at_barrier && first == nullptr) first = &t;
  }
  int votes = 0;
  for (Thread& t : m.threads) {
    if (t.state == Thread::State::done) {
      return fmt::format("{} ended while {} waits at the barrier of {}", name_of(t),
                         name_of(*first), text(first->site));
    }
    if (!same(t.site, first->site)) {
      return fmt::format("{} waits at the barrier of {}, {} at that of {}", name_of(*first),
                         text(first->site), name_of(t), text(t.site));
    }
    votes += t.vote;
    t.state = Thread::State::ready;
  }
  m.votes = votes;
  return "";
}

std::string describe_stuck(const Machine& m) {
  for (const Thread& t : m.threads) {
    if (t.state == Thread::State::waiting)
      return fmt::format("{} waits at {} for what does not come", name_of(t), text(t.site));
    if (t.state != Thread::State::in_warp) continue;
    for (const Meeting& meeting : m.meetings[static_cast<size_t>(t.number / 32)]) {
      const unsigned missing = meeting.mask & ~meeting.arrived;
      const int lane = std::countr_zero(missing);
      const size_t number = static_cast<size_t>(t.number / 32 * 32 + lane);
      std::string where = "which the block does not have";
      if (number < m.threads.size()) {
        const Thread& other = m.threads[number];
        where = other.state == Thread::State::done ? "which has ended"
                                                   : "which waits at " + text(other.site);
      }
      return fmt::format("{} waits at {} for lane {}, {}", name_of(t), text(meeting.site), lane,
                         where);
    }
  }
  return "its threads wait for each other";
}

// Gives each of these threads that is ready a turn; whether any was.
bool give_turns(Machine& m, std::span<const int> threads) {
  bool any = false;
  for (const int i : threads) {
    Thread& t = m.threads[static_cast<size_t>(i)];
    if (t.state == Thread::State::waiting && t.over(t.of, t.value)) t.state = Thread::State::ready;
    if (t.state != Thread::State::ready) continue;
    any = true;
    running = &t;
    m.fibers->run(i);
    if (!m.failure.empty()) fail_launch(m.failure);
  }
  return any;
}

// Runs every thread until it waits at a barrier, ended, or waits in vain. In order, a warp goes on
// as far as it can before the next one begins, which is as far apart as warps can be; shuffled,
// they take turns.
bool run_as_far_as_threads_can(Machine& m) {
  bool any = false;
  const std::span<const int> turn = m.turn;
  const size_t together = m.order == Order::shuffled ? turn.size() : 32;
  // descending, the first group may be a last, incomplete warp
  size_t count = together == 32 && m.order == Order::descending && turn.size() % 32 != 0
                     ? turn.size() % 32
                     : std::min(together, turn.size());
  for (size_t first = 0; first < turn.size();
       first += count, count = std::min(together, turn.size() - first)) {
    while (give_turns(m, turn.subspan(first, count))) any = true;
  }
  return any;
}
void run_until_barrier(Machine& m) {
  while (run_as_far_as_threads_can(m) || run_copy_engine()) {
  }
}

void run_block(Machine& m) {
  for (Thread& t : m.threads) {
    t.state = Thread::State::ready;
    m.fibers->reset(t.number);
    m.copies[static_cast<size_t>(t.number)].assign(1, {});
  }
  for (auto& warp : m.meetings) warp.clear();
  reset_copy_engine();
  reset_warpgroups(m.threads.size());
  m.static_used.clear();
  m.static_bytes = 0;
  m.dynamic.poison();
  take_turns(m);
  while (true) {
    run_until_barrier(m);
    const auto waits = [&](Thread::State state) {
      return std::any_of(m.threads.begin(), m.threads.end(),
                         [state](const Thread& t) { return t.state == state; });
    };
    if (waits(Thread::State::in_warp) || waits(Thread::State::waiting))
      fail_launch(describe_stuck(m));
    if (!waits(Thread::State::at_barrier)) break;
    if (const std::string wrong = open_barrier(m); !wrong.empty()) fail_launch(wrong);
    take_turns(m);
  }
  running = nullptr;
}

}  // namespace

void set_order(Order order, uint64_t seed) {
  machine().order = order;
  machine().seed = seed;
}

int64_t launches() { return machine().launches; }

void fail_thread(const std::string& what) {
  machine().failure = fmt::format("{} in {}", what, name_of(current()));
  while (true) wait();
}

int block_barrier(int vote, Site site) {
  Thread& t = current();
  t.state = Thread::State::at_barrier;
  t.site = site;
  t.vote = vote;
  wait();
  return machine().votes;
}

void warp_together(unsigned mask, void* mine, const std::function<void(void**)>& act, Site site) {
  Machine& m = machine();
  Thread& t = current();
  const unsigned bit = 1u << t.lane();
  if ((mask & bit) == 0) fail_thread(fmt::format("a mask without the caller at {}", text(site)));
  auto& warp = m.meetings[static_cast<size_t>(t.number / 32)];
  // lanes may come together in smaller parties while others wait for all of them
  auto meeting = std::find_if(warp.begin(), warp.end(), [&](const Meeting& other) {
    return other.mask == mask && same(other.site, site);
  });
  if (meeting == warp.end()) meeting = warp.insert(warp.end(), Meeting{mask, 0, {}, site});
  // lanes outside the mask have no place: a null would say that they hold nothing
  static char nothing;
  meeting->lanes[static_cast<size_t>(t.lane())] = mine != nullptr ? mine : &nothing;
  meeting->arrived |= bit;
  t.site = site;
  if (meeting->arrived != mask) {
    t.state = Thread::State::in_warp;
    return wait();
  }
  act(meeting->lanes.data());
  const size_t first = static_cast<size_t>(t.number / 32 * 32);
  for (size_t lane = 0; lane < 32 && first + lane < m.threads.size(); ++lane) {
    if ((mask >> lane & 1u) != 0) m.threads[first + lane].state = Thread::State::ready;
  }
  warp.erase(meeting);
}

void wait_until(bool (*over)(const void*, uint64_t), const void* of, uint64_t value, Site site) {
  if (over(of, value)) return;
  Thread& t = current();
  t.state = Thread::State::waiting;
  t.site = site;
  t.over = over, t.of = of, t.value = value;
  wait();
}

SharedRange dynamic_range() {
  const Machine& m = machine();
  return {static_cast<std::byte*>(m.dynamic.data()), m.dynamic_bytes};
}

bool happens_now() {
  Machine& m = machine();
  if (m.order != Order::shuffled) return m.order == Order::descending;
  return heed::RandomStream({m.seed, heed::hash_name("engines"), m.turns++}).word(0) % 2 == 0;
}

void* static_shared(size_t bytes, const void* tag) {
  Machine& m = machine();
  Guarded& memory = m.static_shared[tag];
  if (memory.bytes() == 0) memory = Guarded(bytes, 16);
  if (std::find(m.static_used.begin(), m.static_used.end(), tag) == m.static_used.end()) {
    m.static_used.push_back(tag);
    m.static_bytes += bytes;
    if (m.static_bytes > kStaticShared) fail_thread("more than 48 KB of static shared memory");
    memory.poison();
  }
  return memory.data();
}

void* dynamic_shared() {
  Machine& m = machine();
  if (m.dynamic_bytes == 0) fail_thread("dynamic shared memory that the launch did not ask for");
  return m.dynamic.data();
}

int run_grid(dim3 grid, dim3 block, size_t dynamic_bytes, const void* kernel,
             const std::function<void()>& body) {
  Machine& m = machine();
  const size_t threads = size_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kMaxThreads || block.z > 64 || grid.y > 65535 || grid.z > 65535 ||
      grid.x > 0x7fffffffu || dynamic_bytes > granted_shared_bytes(kernel)) {
    return cudaErrorInvalidConfiguration;
  }
  if (m.fibers == nullptr) m.fibers = std::make_unique<Fibers>(kMaxThreads, run_thread);
  ++m.launches;
  m.body = &body;
  m.failure.clear();
  m.threads.assign(threads, {});
  m.meetings.resize((threads + 31) / 32);
  m.copies.resize(threads);
  m.dynamic_bytes = dynamic_bytes;
  if (m.dynamic.bytes() != dynamic_bytes) m.dynamic = Guarded(dynamic_bytes, 128);
  m.block.block_dim = block;
  m.block.grid_dim = grid;
  for (size_t i = 0; i < threads; ++i) {
    const auto n = static_cast<unsigned>(i);
    m.threads[i].thread_index = {n % block.x, n / block.x % block.y, n / block.x / block.y};
    m.threads[i].number = static_cast<int>(i);
    m.threads[i].block = &m.block;
  }
  const DeviceAccess access;
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  for (uint64_t b = 0; b < blocks; ++b) {
    const uint64_t i = m.order == Order::ascending ? b : blocks - 1 - b;
    m.block.block_index = {static_cast<unsigned>(i % grid.x),
                           static_cast<unsigned>(i / grid.x % grid.y),
                           static_cast<unsigned>(i / grid.x / grid.y)};
    run_block(m);
  }
  return cudaSuccess;
}

}  // namespace emulation

namespace heed::kernels::cuda::emulated {

std::vector<std::vector<Copy>>& copies_under_way() {
  return emulation::machine().copies[static_cast<size_t>(emulation::current().number)];
}

}  // namespace heed::kernels::cuda::emulated
