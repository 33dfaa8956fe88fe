// How large the numbers of a config.json may be. A model is built as it claims before its tensors
// are compared with it; within these bounds products of extents stay below 2^63, and none of the
// bounds is near any model's.
#pragma once

#include <string>

#include "core/config.h"

namespace heed::recipes::hf {

/// Refuses a number of `option` (one of heed's: "dim", "layers", "height") below its least value or
/// above its largest: a RequestError with the value's place and `key`, as the file names it.
/// Options that are no extents, and values of another kind, are not looked at.
void check_limit(const Config& value, const std::string& key, const std::string& option);

/// The same of all options of a `model` section and its parts, whose names are behind `prefix`
/// ("heed.model.").
void check_limits(const Config& model, const std::string& prefix);

}  // namespace heed::recipes::hf
