#include "tools/device_timing.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "core/device_runtime.h"
#include "core/error.h"
#include "core/parallel.h"

namespace heed::tools {
namespace {

double now(Device device) {
  const bool own = device.is_cpu() && thread_count() == 1;
  timespec time{};
  clock_gettime(own ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

Device device_of_option(const std::string& name) {
  try {
    const Device device = device_from_name(name);
    if (!device.is_cpu()) device_runtime(device, "--device");
    return device;
  } catch (const Error& error) {
    const std::string message = error.what();
    fail_request("{}{}", message.starts_with("--device") ? "" : "--device: ", message);
  }
}

std::string place_text(Device device) {
  if (!device.is_cpu()) return device.to_string();
  return fmt::format("{} thread{}", thread_count(), thread_count() == 1 ? "" : "s");
}

void wait_for(Device device) {
  if (!device.is_cpu()) device_runtime(device, "wait").synchronize(device.index);
}

double best_seconds(double budget, const std::function<void()>& run, Device device) {
  constexpr double kLeastRound = 5e-3;
  const auto round = [&](int64_t calls) {
    const double begin = now(device);
    for (int64_t i = 0; i < calls; ++i) run();
    wait_for(device);
    return (now(device) - begin) / static_cast<double>(calls);
  };
  round(1);
  int64_t calls = 1;
  if (!device.is_cpu()) {
    const double once = std::min(round(1), round(1));
    calls = static_cast<int64_t>(std::clamp(std::ceil(kLeastRound / once), 1.0, 1000.0));
  }
  double best = HUGE_VAL;
  const double start = now(device);
  for (int i = 0; i < 2 || now(device) - start < budget; ++i) best = std::min(best, round(calls));
  return best;
}

}  // namespace heed::tools
