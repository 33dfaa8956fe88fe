// Files: whole reads, atomic writes, memory maps, patterns.
#pragma once

#include <string>

#include "core/error.h"

namespace heed {

/// The file's bytes. Throws RequestError "cannot read 'x': No such file or directory", with the
/// nearest name in that directory as a suggestion; for a directory too.
std::string read_file(const std::string& path);

}  // namespace heed
