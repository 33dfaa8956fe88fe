// A plan as people read it.
#pragma once

#include <string>

#include "recipes/engine/plan/plan.h"

namespace heed::tools {

std::string plan_text(const recipes::Plan& plan);

}  // namespace heed::tools
