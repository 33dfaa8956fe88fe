// Device memory: one range of addresses, taken from front to back and never used twice. A block
// lies at the end of its last page, before a page that stays closed; freed blocks are closed for
// good.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "core/error.h"
#include "cuda_runtime.h"
#include "guarded.h"

namespace emulation {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kRange = size_t{4} << 40;  // of addresses, not of memory
constexpr size_t kAlignment = 16;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

int open_pages(void* pages, size_t bytes, [[maybe_unused]] int key) {
#if defined(__x86_64__) && defined(__linux__)
  if (key >= 0) return pkey_mprotect(pages, bytes, PROT_READ | PROT_WRITE, key);
#endif
  return mprotect(pages, bytes, PROT_READ | PROT_WRITE);  // the host may touch them then
}

// What went wrong, in words, before the signal ends the process.
void explain(int signal, siginfo_t* info, void*);

struct Memory {
  Memory() {
    base = static_cast<char*>(
        mmap(nullptr, kRange, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (base == MAP_FAILED) heed::fail("emulation: no addresses for device memory");
#if defined(__x86_64__) && defined(__linux__)
    key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
#endif
    stack_t stack{};
    stack.ss_sp = signal_stack.data();
    stack.ss_size = signal_stack.size();
    sigaltstack(&stack, nullptr);
    struct sigaction action {};
    action.sa_sigaction = explain;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND);
    sigaction(SIGSEGV, &action, nullptr);
  }

  std::array<char, 64 << 10> signal_stack;
  char* base;
  size_t used = 0;
  int key = -1;
  int open = 0;  // nested DeviceAccess
  struct Block {
    char* pages;
    size_t bytes;
  };
  std::map<void*, Block> blocks;
};

Memory& memory() {
  static auto* m = new Memory;
  return *m;
}

void explain(int, siginfo_t* info, void*) {
  const Memory& m = memory();
  const char* at = static_cast<const char*>(info->si_addr);
  char line[300];
  int n = 0;
  if (at < m.base || at >= m.base + kRange) {
    n = std::snprintf(line, sizeof line, "segmentation fault at %p\n", info->si_addr);
  } else if (m.open == 0) {
    n = std::snprintf(line, sizeof line, "emulation: the host touched device memory at %p\n",
                      info->si_addr);
  } else {
    n = std::snprintf(line, sizeof line,
                      "emulation: device memory at %p was touched outside any block\n",
                      info->si_addr);
  }
  if (running != nullptr) {
    const uint3 b = running->block->block_index, t = running->thread_index;
    n += std::snprintf(line + n, sizeof line - static_cast<size_t>(n),
                       "  by thread (%u, %u, %u) of block (%u, %u, %u)\n", t.x, t.y, t.z, b.x, b.y,
                       b.z);
  }
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, static_cast<size_t>(n));
}

}  // namespace

void* allocate_device(size_t bytes) {
  Memory& m = memory();
  const size_t pages = round_up(bytes == 0 ? 1 : bytes, kPage);
  if (m.used + pages + kPage > kRange) return nullptr;
  char* first = m.base + m.used;
  m.used += pages + kPage;
  if (open_pages(first, pages, m.key) != 0) return nullptr;
  char* block = first + pages - round_up(bytes, kAlignment);
  const DeviceAccess access;
  std::memset(block, 0xff, round_up(bytes, kAlignment));
  m.blocks[block] = {first, bytes};
  return block;
}

void free_device(void* block) {
  Memory& m = memory();
  const auto found = m.blocks.find(block);
  const auto [first, bytes] = found->second;
  const size_t pages = round_up(bytes == 0 ? 1 : bytes, kPage);
  // mapped anew, so that closed pages are one mapping again: their number is limited
  mmap(first, pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  m.blocks.erase(found);
}

bool is_device_memory(const void* at) {
  const Memory& m = memory();
  return at >= m.base && at < m.base + kRange;
}

bool host_is_locked_out() { return memory().key >= 0; }

DeviceAccess::DeviceAccess() : outermost_(memory().open++ == 0) {
#if defined(__x86_64__) && defined(__linux__)
  if (outermost_ && memory().key >= 0) pkey_set(memory().key, 0);
#endif
}

DeviceAccess::~DeviceAccess() {
  --memory().open;
#if defined(__x86_64__) && defined(__linux__)
  if (outermost_ && memory().key >= 0) pkey_set(memory().key, PKEY_DISABLE_ACCESS);
#endif
}

Guarded::Guarded(size_t bytes, size_t alignment) : bytes_(bytes) {
  if (bytes == 0) return;
  const size_t pages = round_up(bytes, kPage);
  mapped_ = pages + kPage;
  mapping_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(static_cast<char*>(mapping_) + pages, kPage, PROT_NONE);
  data_ = static_cast<char*>(mapping_) + pages - round_up(bytes, alignment);
}

Guarded::~Guarded() {
  if (mapping_ != nullptr) munmap(mapping_, mapped_);
}

Guarded& Guarded::operator=(Guarded&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(mapping_, other.mapping_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

void Guarded::poison() {
  if (bytes_ > 0) std::memset(data_, 0xff, bytes_);
}

}  // namespace emulation
