// Which ops have no CUDA kernel yet. The list is kept true: an op that is missing and not named
// fails its tests, and one that is named and never missed fails the whole run (not_yet_test.cpp).
#pragma once

#include <set>
#include <string>

namespace heed::testing {

/// Whether the message is that of a named op without a kernel; remembers that it was seen.
bool is_not_yet(const std::string& message);

/// Ops that are named, and those that were seen.
const std::set<std::string>& not_yet();
const std::set<std::string>& seen_not_yet();

}  // namespace heed::testing
