// The machine that this process runs on.
#pragma once

#include <string>

namespace heed {

/// The processor's model name, "unknown" where the system does not tell.
std::string processor_name();

/// The value of the first "key ... : value" line of a file such as /proc/meminfo; "" without one.
std::string proc_field(const char* path, const std::string& key);

}  // namespace heed
