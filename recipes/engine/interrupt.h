// Signals that ask a run to end in good order.
#pragma once

namespace heed::recipes {

/// While one lives, the first SIGINT or SIGTERM only sets a flag; a second one of the same kind
/// does what it always did. Restores the handlers at the end. One at a time.
class InterruptGuard {
 public:
  /// Does nothing unless `enabled`.
  explicit InterruptGuard(bool enabled);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  /// The signal that came, or 0.
  int signal() const;

 private:
  bool enabled_;
};

}  // namespace heed::recipes
