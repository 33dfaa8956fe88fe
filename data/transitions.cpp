#include "data/transitions.h"

#include <algorithm>
#include <map>

#include "core/error.h"

namespace heed::data {

ItemTransitions item_transitions(const UserItems& data, int64_t span, int64_t length) {
  HEED_CHECK(span >= 1 && length >= 1, "item_transitions: a span of {} in {} items", span, length);
  std::vector<std::map<int64_t, int64_t>> followers(static_cast<size_t>(data.items));
  for (const std::vector<int64_t>& user : data.users) {
    const int64_t end = std::ssize(user) - 2, begin = std::max<int64_t>(0, end - length);
    for (int64_t place = begin; place < end; ++place) {
      for (int64_t later = place + 1; later <= std::min(place + span, end - 1); ++later) {
        const int64_t item = user[static_cast<size_t>(place)] - 1;
        ++followers[static_cast<size_t>(item)][user[static_cast<size_t>(later)] - 1];
      }
    }
  }
  ItemTransitions found;
  found.begin.push_back(0);
  for (const std::map<int64_t, int64_t>& own : followers) {
    for (const auto& [next, count] : own) {
      found.next.push_back(next);
      found.count.push_back(static_cast<double>(count));
    }
    found.begin.push_back(std::ssize(found.next));
  }
  return found;
}

}  // namespace heed::data
