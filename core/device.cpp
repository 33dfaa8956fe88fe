#include "core/device.h"

#include <charconv>

#include "core/error.h"

namespace heed {

std::string Device::to_string() const { return is_cpu() ? "cpu" : fmt::format("cuda:{}", index); }

Device device_from_name(const std::string& name) {
  if (name == "cpu") return kCpu;
  if (name == "cuda") return Device{DeviceType::cuda, 0};
  if (name.starts_with("cuda:")) {
    Device device{DeviceType::cuda, 0};
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + 5, end, device.index);
    if (error == std::errc() && stop == end && device.index >= 0) return device;
  }
  fail_request("unknown device '{}' (cpu, cuda, cuda:N)", name);
}

void require_cpu(Device device, const char* op) {
  HEED_CHECK(device.is_cpu(), "{}: no kernel for {} in this build (see heed doctor)", op,
             device.to_string());
}

}  // namespace heed
