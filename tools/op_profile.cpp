#include "tools/op_profile.h"

#include <algorithm>

#include "autograd/tape.h"

namespace heed::tools {

OpProfile::OpProfile() {
  set_tape_observer({
      .forward = [this](const char* op, const std::vector<Tensor>&) { mark(op); },
      .backward = [this](const char* op,
                         const Gradients&) { mark(std::string(op) + " (backward)"); },
  });
}

OpProfile::~OpProfile() { set_tape_observer({}); }

void OpProfile::mark(const std::string& what) {
  const Clock::time_point now = Clock::now();
  auto line = std::find_if(lines_.begin(), lines_.end(),
                           [&](const Line& known) { return known.op == what; });
  if (line == lines_.end()) line = lines_.insert(lines_.end(), {what, 0, 0.0});
  ++line->calls;
  line->seconds += std::chrono::duration<double>(now - last_).count();
  last_ = Clock::now();
}

void OpProfile::reset() {
  lines_.clear();
  last_ = Clock::now();
}

std::vector<OpProfile::Line> OpProfile::lines() const {
  std::vector<Line> sorted = lines_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Line& a, const Line& b) { return a.seconds > b.seconds; });
  return sorted;
}

}  // namespace heed::tools
