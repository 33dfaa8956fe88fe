// Which item follows which, over all users.
#pragma once

#include <cstdint>
#include <vector>

#include "data/user_items.h"

namespace heed::data {

/// Of item i + 1: next[k] + 1 followed it count[k] times, for begin[i] <= k < begin[i + 1], in
/// ascending order.
struct ItemTransitions {
  std::vector<int64_t> begin, next;
  std::vector<double> count;
};

/// Counts the pairs at distances 1 ... span among the last `length` training items of each user
/// (all but the user's last two, see user_items.h).
ItemTransitions item_transitions(const UserItems& data, int64_t span, int64_t length);

}  // namespace heed::data
