#include "data/synthetic_users.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace heed::data {
namespace {

/// Draws indices in proportion to rank^-exponent.
class Popularity {
 public:
  Popularity(int64_t count, double exponent) {
    double total = 0.0;
    for (int64_t rank = 1; rank <= count; ++rank) {
      total += std::pow(static_cast<double>(rank), -exponent);
      cumulative_.push_back(total);
    }
  }
  int64_t operator()(double uniform) const {
    const auto at =
        std::upper_bound(cumulative_.begin(), cumulative_.end(), uniform * cumulative_.back());
    return std::min(at - cumulative_.begin(), std::ssize(cumulative_) - 1);
  }

 private:
  std::vector<double> cumulative_;
};

/// Draws one after the other from a stream of its own.
class Draws {
 public:
  Draws(int64_t seed, std::string_view purpose, int64_t index)
      : stream_(RandomKey{static_cast<uint64_t>(seed), hash_name(purpose),
                          static_cast<uint64_t>(index)}) {}
  double uniform() { return static_cast<double>(stream_.word64(next_++) >> 11) * 0x1p-53; }
  int64_t below(int64_t n) {
    return static_cast<int64_t>(stream_.below(next_++, static_cast<uint64_t>(n)));
  }

 private:
  RandomStream stream_;
  uint64_t next_ = 0;
};

class Maker {
 public:
  explicit Maker(const SyntheticUserOptions& options)
      : options_(options),
        size_(options.items / options.clusters),
        in_cluster_(size_, 0.7),
        anywhere_(options.items, 0.5),
        order_(static_cast<size_t>(options.items)) {
    std::iota(order_.begin(), order_.end(), 0);
    Draws draws(options.seed, "data/users/popularity", 0);
    for (int64_t i = options.items - 1; i > 0; --i) {
      std::swap(order_[static_cast<size_t>(i)], order_[static_cast<size_t>(draws.below(i + 1))]);
    }
    for (int64_t item = 0; item < options.items; ++item) {
      Draws own(options.seed, "data/users/successors", item);
      const int64_t first = own.below(size_), step = 1 + own.below(size_ - 1);
      const int64_t start = item / size_ * size_;
      successors_.push_back({start + first, start + (first + step) % size_});
    }
  }

  std::vector<int64_t> user(int64_t number) const {
    Draws draws(options_.seed, "data/users", number);
    const int64_t cluster = draws.below(options_.clusters);
    const double mean_extra = options_.mean_length - static_cast<double>(options_.shortest);
    const double extra =
        std::floor(std::log1p(-draws.uniform()) / std::log1p(-1.0 / (mean_extra + 1.0)));
    const int64_t length =
        std::min(options_.shortest + static_cast<int64_t>(extra), options_.longest);
    std::vector<int64_t> items;  // from 0
    std::vector<bool> has(static_cast<size_t>(options_.items));
    while (std::ssize(items) < length) {
      int64_t item =
          items.empty() ? cluster_item(cluster, draws) : next(items.back(), cluster, draws);
      if (has[static_cast<size_t>(item)]) item = cluster_item(cluster, draws);
      while (has[static_cast<size_t>(item)]) item = draws.below(options_.items);
      has[static_cast<size_t>(item)] = true;
      items.push_back(item);
    }
    for (int64_t& item : items) ++item;
    return items;
  }

 private:
  int64_t cluster_item(int64_t cluster, Draws& draws) const {
    return cluster * size_ + in_cluster_(draws.uniform());
  }
  int64_t next(int64_t item, int64_t cluster, Draws& draws) const {
    const double kind = draws.uniform();
    if (kind < options_.follow) {
      const auto& [first, second] = successors_[static_cast<size_t>(item)];
      return draws.uniform() < 0.7 ? first : second;
    }
    if (kind < options_.follow + options_.taste) return cluster_item(cluster, draws);
    return order_[static_cast<size_t>(anywhere_(draws.uniform()))];
  }

  const SyntheticUserOptions& options_;
  int64_t size_;  ///< of a cluster
  Popularity in_cluster_, anywhere_;
  std::vector<int64_t> order_;  ///< item by global rank
  std::vector<std::pair<int64_t, int64_t>> successors_;
};

}  // namespace

void SyntheticUserOptions::options(Options& o) {
  o.field("users", users, "number of users", {.min = 1});
  o.field("items", items, "number of items", {.min = 4});
  o.field("clusters", clusters, "groups of items, of equal size", {.min = 1});
  o.field("shortest", shortest, "fewest items of a user", {.min = 3});
  o.field("longest", longest, "most items of a user", {.min = 3});
  o.field("mean_length", mean_length, "items of a user on average, before the longest are cut");
  o.field("follow", follow, "how often an item is a successor of the one before",
          {.min = 0, .max = 1});
  o.field("taste", taste, "how often it is of the user's cluster", {.min = 0, .max = 1});
  o.field("seed", seed, "of the draws", {.min = 0});
  o.check(
      items % clusters == 0 && items / clusters >= 2, "clusters",
      fmt::format("{} clusters do not share {} items evenly, two or more each", clusters, items));
  o.check(follow + taste <= 1.0, "taste", "follow and taste together must not exceed 1");
  o.check(shortest <= longest && longest <= items / 2, "longest",
          "must be shortest or more, and at most half of the items");
  o.check(mean_length >= static_cast<double>(shortest), "mean_length", "must be shortest or more");
}

UserItems make_user_items(const SyntheticUserOptions& options) {
  const Maker maker(options);
  UserItems data;
  data.items = options.items;
  int64_t actions = 0;
  for (int64_t number = 0; number < options.users; ++number) {
    data.users.push_back(maker.user(number));
    actions += std::ssize(data.users.back());
  }
  data.summary = fmt::format("{} users made by formulas, {} items, {} actions", options.users,
                             options.items, actions);
  return data;
}

}  // namespace heed::data
