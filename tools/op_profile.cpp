#include "tools/op_profile.h"

#include <algorithm>

#include "autograd/tape.h"
#include "core/work.h"
#include "tools/device_timing.h"

namespace heed::tools {
namespace {

int64_t bytes_of(const std::vector<Tensor>& tensors) {
  int64_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += tensor.defined() ? tensor.bytes() : 0;
  return bytes;
}

}  // namespace

OpProfile::OpProfile(Device device) : device_(device) {
  set_tape_observer({
      .forward =
          [this](const char* op, const std::vector<Tensor>& inputs,
                 const std::vector<Tensor>& outputs) {
            // A view moves nothing.
            const bool view = !outputs.empty() && !inputs.empty() && inputs.front().defined() &&
                              outputs.front().storage() == inputs.front().storage();
            mark(op, view ? 0 : bytes_of(inputs) + bytes_of(outputs));
          },
      .backward =
          [this](const char* op, const Gradients& of_outputs, const Gradients& of_inputs) {
            mark(fmt::format("{} (backward)", op), bytes_of(of_outputs) + 2 * bytes_of(of_inputs));
          },
  });
  reset();
}

OpProfile::~OpProfile() { set_tape_observer({}); }

void OpProfile::mark(const std::string& what, int64_t bytes) {
  wait_for(device_);
  const Clock::time_point now = Clock::now();
  auto line = std::find_if(lines_.begin(), lines_.end(),
                           [&](const Line& known) { return known.op == what; });
  if (line == lines_.end()) line = lines_.insert(lines_.end(), Line{.op = what});
  ++line->calls;
  line->seconds += std::chrono::duration<double>(now - last_).count();
  line->bytes += bytes;
  line->flops += counted_flops() - last_flops_;
  last_flops_ = counted_flops();
  last_ = Clock::now();
}

void OpProfile::reset() {
  lines_.clear();
  last_flops_ = counted_flops();
  last_ = Clock::now();
}

std::vector<OpProfile::Line> OpProfile::lines() const {
  std::vector<Line> sorted = lines_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Line& a, const Line& b) { return a.seconds > b.seconds; });
  return sorted;
}

}  // namespace heed::tools
