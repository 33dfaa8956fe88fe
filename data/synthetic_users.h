// Users' items made by formulas, with what real ones have: tastes, successors and noise.
//
// Items lie in clusters of equal size, and a user has one of them. An action is, with probability
// `follow`, one of the two successors of the item before (the first in 70% of the cases), with
// probability `taste` an item of the user's cluster by its popularity there (rank^-0.7), else any
// item by its popularity (rank^-0.5). An item that the user has is drawn once more, from the
// cluster, and then uniformly. The miniature of MQSA-TED (arXiv 2311.01056) uses such sequences.
#pragma once

#include "data/user_items.h"

namespace heed::data {

struct SyntheticUserOptions {
  int64_t users = 1500;
  int64_t items = 320;
  int64_t clusters = 8;
  int64_t shortest = 5;
  int64_t longest = 30;
  double mean_length = 11.0;
  double follow = 0.25;
  double taste = 0.5;
  int64_t seed = 0;

  void options(Options& o);
};

/// The same users for the same options on every machine.
UserItems make_user_items(const SyntheticUserOptions& options);

}  // namespace heed::data
