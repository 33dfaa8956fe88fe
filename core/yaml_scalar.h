// Plain YAML scalars by the core schema of YAML 1.2 (section 10.3.2): null, bool, integer, number,
// and string for everything else.
#pragma once

#include <string>

#include "core/config.h"

namespace heed {

/// The value that unquoted `text` stands for. An integer beyond 64 bits or a number beyond a double
/// is a RequestError at `where`.
Config resolve_yaml_scalar(const std::string& text, const SourceLocation& where);

}  // namespace heed
