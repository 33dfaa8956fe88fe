#include "data/user_items.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <span>
#include <unordered_map>

#include "core/files.h"
#include "data/permutation.h"
#include "data/text_source.h"

namespace heed::data {
namespace {

struct Line {
  std::vector<int64_t> numbers;
  int number = 0;
};

std::vector<Line> read_lines(const std::string& path) {
  const std::string text = read_file(path);
  std::vector<Line> lines;
  int number = 1;
  for (size_t at = 0; at < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', at), text.size());
    Line line{{}, number};
    const char *next = text.data() + at, *stop = text.data() + end;
    for (;;) {
      while (next < stop && (*next == ' ' || *next == '\t' || *next == '\r')) ++next;
      if (next == stop) break;
      int64_t value = 0;
      const auto [after, error] = std::from_chars(next, stop, value);
      const bool ends = after == stop || *after == ' ' || *after == '\t' || *after == '\r';
      if (error != std::errc() || !ends || value < 0) {
        const auto column = static_cast<int>(next - text.data() - static_cast<int64_t>(at)) + 1;
        fail_request(SourceLocation{path, number, column}, "an item must be an integer >= 0");
      }
      line.numbers.push_back(value);
      next = after;
    }
    if (!line.numbers.empty()) lines.push_back(std::move(line));
    at = end + 1;
  }
  return lines;
}

std::vector<std::vector<int64_t>> group_pairs(const std::vector<Line>& lines,
                                              const std::string& path) {
  std::vector<std::vector<int64_t>> users;
  std::unordered_map<int64_t, size_t> places;
  for (const Line& line : lines) {
    if (line.numbers.size() != 2) {
      fail_request(SourceLocation{path, line.number},
                   fmt::format("{} numbers, not a user and an item", line.numbers.size()));
    }
    const auto [found, fresh] = places.emplace(line.numbers[0], users.size());
    if (fresh) users.emplace_back();
    users[found->second].push_back(line.numbers[1]);
  }
  return users;
}

// Gives items the numbers 1, 2, ... in the order of those they have.
int64_t renumber(std::vector<std::vector<int64_t>>& users) {
  std::vector<int64_t> items;
  for (const auto& user : users) items.insert(items.end(), user.begin(), user.end());
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
  for (auto& user : users) {
    for (int64_t& item : user) {
      item = std::lower_bound(items.begin(), items.end(), item) - items.begin() + 1;
    }
  }
  return static_cast<int64_t>(items.size());
}

// Items a user has before the target of a part.
int64_t history_of(const std::vector<int64_t>& user, Part part) {
  HEED_CHECK(part != Part::train, "sequences: the training part has no single targets");
  return static_cast<int64_t>(user.size()) - (part == Part::validation ? 2 : 1);
}

SequenceBatch empty_batch(int64_t rows, int64_t length, int64_t index) {
  SequenceBatch batch;
  batch.items = Tensor::zeros({rows, length}, DType::i64);
  batch.users = Tensor::full({rows}, -1, DType::i64);
  batch.index = index;
  return batch;
}

// Uniform among the items that are not in `touched` (sorted, each once): the draw counts them off.
int64_t untouched(const std::vector<int64_t>& touched, uint64_t draw) {
  auto item = static_cast<int64_t>(draw) + 1;
  for (const int64_t t : touched) {
    if (t > item) break;
    ++item;
  }
  return item;
}

}  // namespace

void UserItemOptions::options(Options& o) {
  o.field("file", file, "the users' items", {.required = true});
  o.field("format", format,
          "sequences (a user's items a line), pairs (user and item a line) or empty: pairs when "
          "every line has two numbers",
          {.one_of = {"", "sequences", "pairs"}});
  o.field("min_length", min_length, "users with fewer items are left out", {.min = 3});
}

UserItems read_user_items(const UserItemOptions& options, const SourceLocation& where) {
  const std::string path = expand_path(options.file, where);
  const std::vector<Line> lines = read_lines(path);
  const bool all_pairs = std::all_of(lines.begin(), lines.end(),
                                     [](const Line& line) { return line.numbers.size() == 2; });
  UserItems data;
  if (options.format == "pairs" || (options.format.empty() && all_pairs)) {
    data.users = group_pairs(lines, path);
  } else {
    for (const Line& line : lines) data.users.push_back(line.numbers);
  }
  const auto shortest = static_cast<size_t>(std::max<int64_t>(options.min_length, 3));
  const size_t all = data.users.size();
  std::erase_if(data.users, [&](const auto& user) { return user.size() < shortest; });
  if (data.users.empty()) {
    fail_request(where, fmt::format("'{}': none of {} users has {} items", path, all, shortest));
  }
  data.items = renumber(data.users);
  int64_t actions = 0;
  for (const auto& user : data.users) actions += static_cast<int64_t>(user.size());
  data.summary = fmt::format("{} users ({} too short), {} items, {} actions", data.users.size(),
                             all - data.users.size(), data.items, actions);
  return data;
}

SequenceBatch train_sequences(const UserItems& data, int64_t index,
                              const SequenceOptions& options) {
  HEED_CHECK(index >= 0 && options.length >= 1 && options.negatives >= 0,
             "sequences: batch {}, length {}, {} negatives", index, options.length,
             options.negatives);
  const RowRange rows = rows_of(options.slice, options.batch);
  const int64_t count = rows.end - rows.begin, length = options.length;
  const int64_t negatives = options.negatives;
  SequenceBatch batch = empty_batch(count, length, index);
  batch.targets = Tensor::full({count, length}, static_cast<double>(kIgnoreTarget), DType::i64);
  batch.negatives = Tensor::zeros({count, length, negatives}, DType::i64);
  const uint64_t users = data.users.size();
  for (int64_t row = 0; row < count; ++row) {
    const auto nth = static_cast<uint64_t>(index * options.batch + rows.begin + row);
    const auto [epoch, number] = place_in_epochs(options.seed, nth, users);
    const std::vector<int64_t>& user = data.users[number];
    const auto training = static_cast<int64_t>(user.size()) - 2;
    const int64_t places = std::min(training - 1, length);
    std::vector<int64_t> touched = user;
    std::sort(touched.begin(), touched.end());
    touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
    const auto free = static_cast<uint64_t>(data.items) - touched.size();
    if (free == 0 && negatives > 0) {
      fail_request("sequences: user {} touched all {} items: no negatives are left", number,
                   data.items);
    }
    const RandomStream draws(
        RandomKey{options.seed, hash_name("data/negatives"), epoch}.derive(number));
    for (int64_t place = 0; place < places; ++place) {
      const int64_t at = row * length + length - places + place;
      const auto from = static_cast<size_t>(training - 1 - places + place);
      batch.items.data<int64_t>()[at] = user[from];
      batch.targets.data<int64_t>()[at] = user[from + 1];
      for (int64_t n = 0; n < negatives; ++n) {
        const auto draw = static_cast<uint64_t>(place * negatives + n);
        batch.negatives.data<int64_t>()[at * negatives + n] =
            untouched(touched, draws.below(draw, free));
      }
    }
    batch.users.data<int64_t>()[row] = static_cast<int64_t>(number);
    batch.count += std::max<int64_t>(places, 0);
  }
  return batch;
}

int64_t evaluation_sequence_batches(const UserItems& data, int64_t batch) {
  HEED_CHECK(batch >= 1, "sequences: a batch of {} rows", batch);
  return (static_cast<int64_t>(data.users.size()) + batch - 1) / batch;
}

SequenceBatch evaluation_sequences(const UserItems& data, Part part, int64_t index,
                                   const SequenceOptions& options) {
  const int64_t batches = evaluation_sequence_batches(data, options.batch);
  HEED_CHECK(index >= 0 && index < batches, "sequences: {} batch {} of {}", name_of(part), index,
             batches);
  const RowRange rows = rows_of(options.slice, options.batch);
  const int64_t count = rows.end - rows.begin, length = options.length;
  SequenceBatch batch = empty_batch(count, length, index);
  batch.targets = Tensor::full({count}, static_cast<double>(kIgnoreTarget), DType::i64);
  for (int64_t row = 0; row < count; ++row) {
    const int64_t number = index * options.batch + rows.begin + row;
    if (number >= static_cast<int64_t>(data.users.size())) break;
    const std::vector<int64_t>& user = data.users[static_cast<size_t>(number)];
    const int64_t history = history_of(user, part), places = std::min(history, length);
    std::copy_n(user.begin() + history - places, places,
                batch.items.data<int64_t>() + (row + 1) * length - places);
    batch.targets.data<int64_t>()[row] = user[static_cast<size_t>(history)];
    batch.users.data<int64_t>()[row] = number;
    ++batch.count;
  }
  return batch;
}

std::vector<int64_t> item_counts(const UserItems& data) {
  std::vector<int64_t> counts(static_cast<size_t>(data.items) + 1);
  for (const auto& user : data.users) {
    for (size_t i = 0; i + 2 < user.size(); ++i) ++counts[static_cast<size_t>(user[i])];
  }
  return counts;
}

RankingScore score_popularity(const UserItems& data, Part part, int64_t k, int64_t users) {
  const std::vector<int64_t> counts = item_counts(data);
  std::vector<int64_t> order(static_cast<size_t>(data.items));
  std::iota(order.begin(), order.end(), 1);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return counts[static_cast<size_t>(a)] > counts[static_cast<size_t>(b)];
  });
  std::vector<int64_t> place(order.size() + 1);
  for (size_t i = 0; i < order.size(); ++i) {
    place[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  }
  const auto all = static_cast<int64_t>(data.users.size());
  const int64_t scored = users > 0 ? std::min(users, all) : all;
  RankingScore score;
  for (const auto& user : std::span(data.users).first(static_cast<size_t>(scored))) {
    const int64_t history = history_of(user, part);
    const int64_t target = user[static_cast<size_t>(history)];
    std::vector<int64_t> seen(user.begin(), user.begin() + history);
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    int64_t rank = place[static_cast<size_t>(target)] + 1;
    for (const int64_t item : seen) {
      if (place[static_cast<size_t>(item)] < place[static_cast<size_t>(target)]) --rank;
    }
    if (rank > k || std::binary_search(seen.begin(), seen.end(), target)) continue;
    score.recall += 1;
    score.ndcg += 1 / std::log2(1 + static_cast<double>(rank));
  }
  const auto count = static_cast<double>(scored);
  return {score.recall / count, score.ndcg / count};
}

}  // namespace heed::data
