// What the machine and this build are.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace heed::tools {

struct Machine {
  std::string cpu;                        ///< model name
  int cores = 0;                          ///< that this process may run on
  int threads = 0;                        ///< that heed uses
  std::vector<std::string> instructions;  ///< SIMD targets that the kernels can choose from
  int64_t memory_bytes = 0;               ///< of the machine, or the container's limit
  int64_t available_bytes = 0;            ///< of it now
  std::string onednn;                     ///< version
};
Machine this_machine();

/// Rates of a square matrix product, in GFLOP/s: the best of some runs within ~0.3 s.
double product_rate_f32();
double product_rate_bf16();

}  // namespace heed::tools
