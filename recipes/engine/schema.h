// JSON Schema of recipes, registries expanded.
#pragma once

#include "core/config.h"

namespace heed::recipes {

/// Replaces every {"x-registry": name} of a schema by the choice of that registry's entries: a
/// reference to a definition that is told apart by `type`. The definitions go to `definitions`;
/// "required" lists are dropped.
void expand_registries(Config& schema, Config& definitions);

}  // namespace heed::recipes
