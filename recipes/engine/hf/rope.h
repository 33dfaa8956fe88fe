// Rotary positions in config.json: as versions of transformers before 5 have them,
//   "rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, ...}
// and as those since then write them, "rope_parameters" with all of it. Both are read; the former,
// which all of them read, is written.
#pragma once

#include "recipes/engine/hf/family.h"

namespace heed::recipes::hf {

/// rope_base and rope_scaling of heed's gpt. Kinds of scaling that heed has not (yarn, dynamic,
/// longrope) are RequestErrors.
Rule rope_rule();

}  // namespace heed::recipes::hf
