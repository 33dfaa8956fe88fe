#include "tools/machine.h"

#include <fmt/format.h>
#include <hwy/targets.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <oneapi/dnnl/dnnl.hpp>
#include <sstream>

#include "core/machine.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "kernels/matmul/matmul.h"

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

double product_rate(DType dtype) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kSize = 1024;
  const Tensor a = Tensor::full({kSize, kSize}, 0.5, dtype);
  const Tensor b = Tensor::full({kSize, kSize}, 0.25, dtype);
  const Tensor out = Tensor::empty({kSize, kSize}, dtype);
  double best = 1e30;
  const auto start = Clock::now();
  const auto elapsed = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  for (int run = 0; run < 3 || elapsed(start) < 0.3; ++run) {
    const auto begin = Clock::now();
    kernels::gemm(a, b, out);
    best = std::min(best, elapsed(begin));
  }
  return 2.0 * kSize * kSize * kSize / best * 1e-9;
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

double product_rate_f32() { return product_rate(DType::f32); }
double product_rate_bf16() { return product_rate(DType::bf16); }

}  // namespace heed::tools
