// The registry of poolings: what `pool: {type: ...}` can name.
#pragma once

#include <memory>
#include <vector>

#include "nn/pooling/pooling.h"
#include "nn/slot.h"

namespace heed::nn {

using PoolingEntry = SlotEntry<Pooling, PoolingHost>;

/// All poolings, sorted by name.
const std::vector<PoolingEntry>& pooling_registry();

/// Builds what a slot asks for: a name ("mean") or a map with `type` and the pooling's own keys.
std::unique_ptr<Pooling> make_pooling(const Config& slot, const PoolingHost& host);

}  // namespace heed::nn
