// Switching between stacks within one thread of the operating system.
#pragma once

#include <cstddef>

namespace emulation {

/// Stacks with a guard page below each, and a switch between them and the caller's own.
class Fibers {
 public:
  Fibers(int count, void (*entry)());
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  /// Makes fiber i begin at the entry function when it is next switched to.
  void reset(int i);
  /// Runs fiber i until it switches back. Called from the caller's own stack.
  void run(int i);
  /// Back to whoever called run(). Called from a fiber, whose entry function never returns.
  void switch_back();

 private:
  struct Context;
  char* bottom(int i) const;

  int count_;
  void (*entry_)();
  char* memory_;
  Context* contexts_;  // one a fiber, and the caller's last
  int current_ = -1;
};

}  // namespace emulation
