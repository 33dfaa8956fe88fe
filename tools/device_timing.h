// How long work takes on a device, and which device a benchmark was asked for.
#pragma once

#include <functional>
#include <string>

#include "core/device.h"

namespace heed::tools {

/// The device that `--device` names; a RequestError naming the option for an unknown name, in a
/// build without CUDA, and where the machine has no such device.
Device device_of_option(const std::string& name);

/// Where a measurement ran, in words: "2 threads", "cuda:0".
std::string place_text(Device device);

/// Waits for all that was started there; on the CPU nothing is under way.
void wait_for(Device device);

/// Seconds of a run: the best of what fits into `budget` seconds, at least two, after one that is
/// not counted. On a device runs go out together, for at least 5 ms, and are waited for once, so
/// that neither their launches nor the wait are counted where the device is what takes the time.
/// On the CPU with one thread the process's own seconds count, which others do not disturb.
double best_seconds(double budget, const std::function<void()>& run, Device device = kCpu);

}  // namespace heed::tools
