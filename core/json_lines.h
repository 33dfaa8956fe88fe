// JSON Lines: a file with one JSON document a line (jsonlines.org).
#pragma once

#include <string>

#include "core/config.h"

namespace heed {

/// Parses line number `line` (from 1) of the file `name`; errors and values carry that place. As
/// parse_json() otherwise.
Config parse_json_line(const std::string& text, const std::string& name, int line);

}  // namespace heed
