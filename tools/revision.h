// The revision of the sources that this command was built from.
#pragma once

#include <string>

namespace heed::tools {

/// "1814d1b", "1814d1b, changed" with uncommitted changes, "unknown" for sources without a history.
std::string revision();

}  // namespace heed::tools
