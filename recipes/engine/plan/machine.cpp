#include "recipes/engine/plan/machine.h"

namespace heed::recipes {

void MachineDescription::options(Options& o) {
  o.field("name", name, "names it in tables");
  o.field("description", description, "one line for people");
  o.field("ranks_per_host", ranks_per_host, "ranks that share a host", {.min = 1});
  o.field("memory_gb", memory_gb, "memory of a rank, in 10^9 bytes",
          {.above = 0, .required = true});
  o.field("reserved_gb", reserved_gb, "of it, what drivers and libraries take", {.min = 0});
  o.field("f32_tflops", f32_tflops, "peak of matrix products in f32, 10^12 FLOP/s of a rank",
          {.above = 0, .required = true});
  o.field("bf16_tflops", bf16_tflops, "the same in bf16; 0: as f32", {.min = 0});
  o.field("efficiency", efficiency, "share of the peak that training's products reach",
          {.max = 1, .above = 0});
  o.field("memory_gb_s", memory_gb_s, "bandwidth of a rank's memory, 10^9 bytes a second",
          {.above = 0, .required = true});
  o.field("link_gb_s", link_gb_s, "between two ranks of a host, one way", {.min = 0});
  o.field("link_us", link_us, "latency of such a message, microseconds", {.min = 0});
  o.field("network_gb_s", network_gb_s, "the same between hosts, for each rank", {.min = 0});
  o.field("network_us", network_us, "latency of such a message, microseconds", {.min = 0});
  o.check(reserved_gb < memory_gb, "reserved_gb", "reserved_gb leaves nothing of memory_gb");
  o.check(ranks_per_host == 1 || link_gb_s > 0, "link_gb_s",
          "several ranks on a host need link_gb_s, the bandwidth between them");
}

double MachineDescription::flops(const std::string& precision) const {
  const bool half = precision == "bf16" && bf16_tflops > 0.0;
  return 1e12 * efficiency * (half ? bf16_tflops : f32_tflops);
}

namespace {

// Piz Daint's hybrid nodes: one Tesla P100 PCIe 16 GB (NVIDIA's datasheet of 2016: 9.3 TFLOP/s f32,
// 732 GB/s; it has no bf16, and f16's 18.7 is not what its products of f32 sums reach) behind the
// Aries network, whose injection is bound by PCIe 3.0 x16, about 10 GB/s a direction, at 1.3 us
// (Cray XC Series Network, 2012, section 4).
MachineDescription p100() {
  MachineDescription m;
  m.name = "p100";
  m.description = "a node of Piz Daint: one Tesla P100 with 16 GB, Aries network";
  m.memory_gb = 16.0;
  m.reserved_gb = 0.6;
  m.f32_tflops = 9.3;
  m.efficiency = 0.7;
  m.memory_gb_s = 732.0;
  m.network_gb_s = 10.0;
  m.network_us = 1.3;
  return m;
}

// DGX H100 (NVIDIA's datasheets of 2023): SXM5, 80 GB, 3.35 TB/s, dense tensor cores 989 TFLOP/s
// in bf16; f32 outside them 67 (TF32, 495, is not used unasked). NVLink 900 GB/s in both directions
// together; one 400 Gb/s InfiniBand port a GPU. Latencies are what NCCL's users report, a few
// microseconds.
MachineDescription h100() {
  MachineDescription m;
  m.name = "h100";
  m.description = "a host of 8 H100 SXM with 80 GB, NVLink inside, 400 Gb/s a GPU outside";
  m.ranks_per_host = 8;
  m.memory_gb = 80.0;
  m.reserved_gb = 2.0;
  m.f32_tflops = 67.0;
  m.bf16_tflops = 989.0;
  m.efficiency = 0.5;
  m.memory_gb_s = 3350.0;
  m.link_gb_s = 450.0;
  m.link_us = 3.0;
  m.network_gb_s = 50.0;
  m.network_us = 5.0;
  return m;
}

// The same with HBM3e: 141 GB at 4.8 TB/s (NVIDIA's datasheet of 2023).
MachineDescription h200() {
  MachineDescription m = h100();
  m.name = "h200";
  m.description = "a host of 8 H200 SXM with 141 GB, NVLink inside, 400 Gb/s a GPU outside";
  m.memory_gb = 141.0;
  m.memory_gb_s = 4800.0;
  return m;
}

// Two cores with AVX2 at 3 GHz: 2 fused multiply-adds of 8 floats a cycle are 96 GFLOP/s a core;
// bf16 is computed as f32. A share of two channels of DDR4-3200 (51 GB/s in all, of which one core
// draws about 15), messages through shared memory.
MachineDescription laptop() {
  MachineDescription m;
  m.name = "laptop";
  m.description = "a processor of 2 cores with AVX2 at 3 GHz, a rank a core, 8 GB each";
  m.ranks_per_host = 2;
  m.memory_gb = 8.0;
  m.reserved_gb = 0.5;
  m.f32_tflops = 0.096;
  m.efficiency = 0.6;
  m.memory_gb_s = 15.0;
  m.link_gb_s = 5.0;
  m.link_us = 1.0;
  m.network_gb_s = 0.118;  // gigabit Ethernet less its headers
  m.network_us = 50.0;
  return m;
}

}  // namespace

const std::vector<MachineDescription>& known_machines() {
  static const std::vector<MachineDescription> all = {p100(), h100(), h200(), laptop()};
  return all;
}

MachineDescription find_machine(const std::string& name) {
  if (name.ends_with(".yaml") || name.ends_with(".yml")) {
    MachineDescription read = read_options<MachineDescription>(read_yaml_file(name), "machine", {});
    if (read.name.empty()) read.name = name;
    return read;
  }
  std::vector<std::string> names;
  for (const MachineDescription& machine : known_machines()) {
    if (machine.name == name) return machine;
    names.push_back(machine.name);
  }
  fail_request("unknown machine '{}'{}: there are {}, or a file (NAME.yaml) that describes one",
               name, did_you_mean(name, names), fmt::join(names, ", "));
}

}  // namespace heed::recipes
