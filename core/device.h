// Devices: where a tensor's bytes lie and its kernels run.
#pragma once

#include <string>

namespace heed {

enum class DeviceType : unsigned char { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  int index = 0;

  bool is_cpu() const { return type == DeviceType::cpu; }
  bool is_cuda() const { return type == DeviceType::cuda; }
  bool operator==(const Device&) const = default;
  /// "cpu", "cuda:0".
  std::string to_string() const;
};

inline constexpr Device kCpu{};

/// Parses "cpu", "cuda" or "cuda:N"; throws RequestError otherwise.
Device device_from_name(const std::string& name);

/// Throws a clear Error for an op that has no kernel on this device in this build. The CPU kernels'
/// entry points call it, so that a device tensor never reaches host code.
void require_cpu(Device device, const char* op);

}  // namespace heed
