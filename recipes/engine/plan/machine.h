// What a plan knows of the machine that a run is for: how fast one rank computes, moves its own
// memory and talks to ranks of its host and of others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/options.h"

namespace heed::recipes {

/// Rates of one rank (a GPU, or a core of a processor). Peaks are the makers'; `efficiency` is what
/// training's matrix products reach of them.
struct MachineDescription {
  std::string name;
  std::string description;
  int64_t ranks_per_host = 1;
  double memory_gb = 0.0;    ///< 10^9 bytes, as makers count
  double reserved_gb = 0.0;  ///< of it, what drivers and libraries take
  double f32_tflops = 0.0;
  double bf16_tflops = 0.0;
  double efficiency = 0.5;
  double memory_gb_s = 0.0;
  double link_gb_s = 0.0;  ///< between two ranks of a host, one way
  double link_us = 0.0;    ///< and what a message costs beside its bytes
  double network_gb_s = 0.0;
  double network_us = 0.0;
  void options(Options& o);

  double usable_bytes() const { return 1e9 * (memory_gb - reserved_gb); }
  /// FLOP/s that products of this precision ("f32", "bf16") reach.
  double flops(const std::string& precision) const;
};

/// The machines that are known by name.
const std::vector<MachineDescription>& known_machines();
/// One of them, or what a YAML file (a name that ends in .yaml or .yml) says. RequestErrors name
/// the field, or the nearest known machine.
MachineDescription find_machine(const std::string& name_or_file);

}  // namespace heed::recipes
