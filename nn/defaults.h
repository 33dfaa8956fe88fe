// Filling in what a config leaves out.
#pragma once

#include "core/options.h"

namespace heed::nn {

/// The given config, then those fields of the options read from it that it leaves out. Values given
/// keep their place in the text; an empty string stands for nothing chosen and is left out.
template <HasOptions O>
Config with_defaults(const Config& given, const O& options) {
  Config result = given.is_null() ? Config::map() : given;
  const Config written = write_options(options);
  for (const auto& [key, value] : written.as_map()) {
    const bool empty = value.is_null() || (value.is_string() && value.as_string().empty());
    if (!empty && !result.has(key)) result.set(key, value);
  }
  return result;
}

}  // namespace heed::nn
