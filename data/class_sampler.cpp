#include "data/class_sampler.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/error.h"

namespace heed::data {

std::vector<int64_t> draw_different(const RandomKey& key, int64_t n, int64_t count) {
  HEED_CHECK(count >= 0 && count <= n, "draw_different: {} of {} numbers", count, n);
  // Fisher and Yates' shuffle, ended after `count` places.
  std::vector<int64_t> numbers(static_cast<size_t>(n));
  std::iota(numbers.begin(), numbers.end(), 0);
  const RandomStream stream(key);
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t other = stream.below(static_cast<uint64_t>(i), static_cast<uint64_t>(n - i));
    std::swap(numbers[static_cast<size_t>(i)],
              numbers[static_cast<size_t>(i) + static_cast<size_t>(other)]);
  }
  numbers.resize(static_cast<size_t>(count));
  return numbers;
}

ClassSampler::ClassSampler(const LabelledDataset& data, Part part, int64_t least) {
  HEED_CHECK(least >= 1, "class sampler: classes of at least {} examples", least);
  std::vector<std::vector<int64_t>> all(static_cast<size_t>(data.classes()));
  for (int64_t i = 0; i < data.size(part); ++i) {
    all.at(static_cast<size_t>(data.label(part, i))).push_back(i);
  }
  for (std::vector<int64_t>& examples : all) {
    if (static_cast<int64_t>(examples.size()) >= least) examples_.push_back(std::move(examples));
  }
}

std::vector<int64_t> ClassSampler::draw(const RandomKey& key, int64_t ways, int64_t each) const {
  std::vector<int64_t> drawn;
  for (const int64_t c : draw_different(key.derive("classes"), classes(), ways)) {
    const std::vector<int64_t>& examples = examples_[static_cast<size_t>(c)];
    const auto size = static_cast<int64_t>(examples.size());
    const std::vector<int64_t> order = draw_different(
        key.derive("examples").derive(static_cast<uint64_t>(c)), size, std::min(each, size));
    for (int64_t i = 0; i < each; ++i) {
      drawn.push_back(examples[static_cast<size_t>(order[static_cast<size_t>(i) % order.size()])]);
    }
  }
  return drawn;
}

std::vector<ExampleRow> ClassSampler::rows(const RandomKey& key, int64_t ways, int64_t each,
                                           bool augment) const {
  std::vector<ExampleRow> rows;
  const RandomKey transforms = key.derive("transforms");
  for (const int64_t example : draw(key, ways, each)) {
    rows.push_back({example, transforms.derive(static_cast<uint64_t>(rows.size())), augment});
  }
  return rows;
}

}  // namespace heed::data
