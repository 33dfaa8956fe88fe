#include "tools/machine.h"

#include <fmt/format.h>
#include <hwy/targets.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <oneapi/dnnl/dnnl.hpp>
#include <sstream>

#include "core/machine.h"
#include "core/parallel.h"
#include "tools/device_rates.h"

namespace heed::tools {
namespace {

int64_t kibibytes(const char* key) {
  std::istringstream value(proc_field("/proc/meminfo", key));
  int64_t number = 0;
  value >> number;
  return number * 1024;
}

// A number in a control-group file; 0 when there is none or no limit.
int64_t group_number(const char* path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : 0;
}

}  // namespace

Machine this_machine() {
  Machine machine;
  machine.cpu = processor_name();
  cpu_set_t set;
  CPU_ZERO(&set);
  machine.cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  machine.threads = thread_count();
  for (int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
    const std::string name = hwy::TargetName(targets & -targets);
    if (name != "SCALAR" && name != "EMU128") machine.instructions.push_back(name);
  }
  machine.memory_bytes = kibibytes("MemTotal");
  machine.available_bytes = kibibytes("MemAvailable");
  if (const int64_t limit = group_number("/sys/fs/cgroup/memory.max");
      limit > 0 && limit < machine.memory_bytes) {
    machine.memory_bytes = limit;
    machine.available_bytes =
        std::min(machine.available_bytes, limit - group_number("/sys/fs/cgroup/memory.current"));
  }
  const dnnl_version_t* version = dnnl_version();
  machine.onednn = fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
  return machine;
}

double product_rate_f32() { return 1e-9 * product_rate(kCpu, DType::f32, 1024, 0.3); }
double product_rate_bf16() { return 1e-9 * product_rate(kCpu, DType::bf16, 1024, 0.3); }

}  // namespace heed::tools
