#include "recipes/engine/interrupt.h"

#include <csignal>

namespace heed::recipes {
namespace {

volatile std::sig_atomic_t received = 0;
struct sigaction previous_int, previous_term;

void on_signal(int number) { received = number; }

}  // namespace

InterruptGuard::InterruptGuard(bool enabled) : enabled_(enabled) {
  received = 0;
  if (!enabled_) return;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_int);
  sigaction(SIGTERM, &action, &previous_term);
}

InterruptGuard::~InterruptGuard() {
  if (!enabled_) return;
  sigaction(SIGINT, &previous_int, nullptr);
  sigaction(SIGTERM, &previous_term, nullptr);
}

int InterruptGuard::signal() const { return received; }

}  // namespace heed::recipes
