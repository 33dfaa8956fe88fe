// Examples drawn out of the training part where no other part is given.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "core/options.h"
#include "data/permutation.h"

namespace heed::data {

/// Shares of the training examples that become another part, where that is not given.
struct HoldOutOptions {
  double hold_out = 0;
  double hold_out_test = 0;
  void options(Options& o);
};

/// Moves `count` of the examples, drawn evenly by `purpose`, to a list of their own; the order of
/// both stays.
template <class Example>
std::vector<Example> draw_out(std::vector<Example>& examples, int64_t count,
                              std::string_view purpose) {
  std::vector<Example> stay, drawn;
  if (examples.empty()) return drawn;
  const Permutation order({0, hash_name(purpose), 0}, examples.size());
  for (size_t i = 0; i < examples.size(); ++i) {
    const bool moves = static_cast<int64_t>(order(i)) < count;
    (moves ? drawn : stay).push_back(std::move(examples[i]));
  }
  examples = std::move(stay);
  return drawn;
}

/// Fills `test` and `validation`, where empty, with their shares of `train`.
template <class Example>
void hold_out(std::vector<Example>& train, std::vector<Example>& validation,
              std::vector<Example>& test, const HoldOutOptions& share) {
  const auto total = static_cast<double>(train.size());
  if (test.empty()) {
    test = draw_out(train, static_cast<int64_t>(total * share.hold_out_test), "data/test");
  }
  if (validation.empty()) {
    validation = draw_out(train, static_cast<int64_t>(total * share.hold_out), "data/validation");
  }
}

}  // namespace heed::data
