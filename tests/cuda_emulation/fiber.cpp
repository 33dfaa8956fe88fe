#include "fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {
namespace {
constexpr size_t kPage = 4096;
constexpr size_t kStack = 256 << 10;  // its lowest page is the guard

// The address sanitizer is told of every change of stacks, before it and after it. It runs here
// without stacks of its own making (detect_stack_use_after_return), so that there is none to keep.
#if defined(__SANITIZE_ADDRESS__)
thread_local const void* host_bottom = nullptr;
thread_local size_t host_size = 0;

void leave_for(const void* bottom, size_t size) {
  __sanitizer_start_switch_fiber(nullptr, bottom, size);
}
void leave_for_host() { leave_for(host_bottom, host_size); }
void come_from_host() { __sanitizer_finish_switch_fiber(nullptr, &host_bottom, &host_size); }
void come_back() { __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr); }
#else
void leave_for(const void*, size_t) {}
void leave_for_host() {}
void come_from_host() {}
void come_back() {}
#endif

thread_local void (*entry)() = nullptr;
void begin() {
  come_from_host();
  entry();
}
}  // namespace

#if defined(__x86_64__)

// What a call must keep (System V ABI): rbx, rbp, r12 to r15 and the stack. swapcontext would ask
// the system for the signal mask at every switch.
extern "C" void heed_emulation_switch(void** from, void* to);
asm(R"(
.text
.globl heed_emulation_switch
.type heed_emulation_switch, @function
heed_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size heed_emulation_switch, .-heed_emulation_switch
)");

struct Fibers::Context {
  void* stack_pointer = nullptr;
};

void Fibers::reset(int i) {
  // as a call of the entry function would have left it: a return address that is never used
  auto** top = reinterpret_cast<void**>(bottom(i) + kStack - kPage);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(begin);
  for (int k = 0; k < 6; ++k) *--top = nullptr;
  contexts_[i].stack_pointer = top;
}

void Fibers::run(int i) {
  current_ = i;
  Context &own = contexts_[count_], &other = contexts_[i];
  entry = entry_;
  leave_for(bottom(i), kStack - kPage);
  heed_emulation_switch(&own.stack_pointer, other.stack_pointer);
  come_back();
}

void Fibers::switch_back() {
  leave_for_host();
  heed_emulation_switch(&contexts_[current_].stack_pointer, contexts_[count_].stack_pointer);
  come_from_host();
}

#else

struct Fibers::Context {
  ucontext_t context;
};

void Fibers::reset(int i) {
  ucontext_t& c = contexts_[i].context;
  getcontext(&c);
  c.uc_stack.ss_sp = bottom(i);
  c.uc_stack.ss_size = kStack - kPage;
  c.uc_link = nullptr;
  makecontext(&c, begin, 0);
}

void Fibers::run(int i) {
  current_ = i;
  entry = entry_;
  leave_for(bottom(i), kStack - kPage);
  swapcontext(&contexts_[count_].context, &contexts_[i].context);
  come_back();
}

void Fibers::switch_back() {
  leave_for_host();
  swapcontext(&contexts_[current_].context, &contexts_[count_].context);
  come_from_host();
}

#endif

Fibers::Fibers(int count, void (*entry)())
    : count_(count), entry_(entry), contexts_(new Context[static_cast<size_t>(count) + 1]) {
  memory_ =
      static_cast<char*>(mmap(nullptr, static_cast<size_t>(count) * kStack, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  for (int i = 0; i < count; ++i) mprotect(bottom(i) - kPage, kPage, PROT_NONE);
}

Fibers::~Fibers() {
  munmap(memory_, static_cast<size_t>(count_) * kStack);
  delete[] contexts_;
}

char* Fibers::bottom(int i) const { return memory_ + static_cast<size_t>(i) * kStack + kPage; }

}  // namespace emulation
