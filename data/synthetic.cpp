#include "data/synthetic.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"
#include "data/permutation.h"

namespace heed::data {
namespace {

constexpr int64_t kSeparator = 1, kAsk = 2, kFirstSymbol = 3;
constexpr int64_t kOperators = kFirstSymbol + 10;  // MAX, MIN, MED, SM
constexpr int64_t kClose = kOperators + 4;

class Maker {
 public:
  Maker(const SyntheticOptions& options, const RandomKey& key)
      : o_(options), key_(key), stream_(key) {
    example_.targets.assign(static_cast<size_t>(o_.length), kIgnoreTarget);
  }

  SyntheticExample make() {
    if (o_.task == "copy" || o_.task == "reverse") {
      copy();
    } else if (o_.task == "recall") {
      recall();
    } else if (o_.task == "two_channel") {
      two_channel();
    } else if (o_.task == "passkey") {
      passkey();
    } else if (o_.task == "carry") {
      carry();
    } else if (o_.task == "needle") {
      needle();
    } else if (o_.task == "induction") {
      induction();
    } else if (o_.task == "markov") {
      markov();
    } else if (o_.task == "listops") {
      listops();
    } else {
      fail_request("synthetic: unknown task '{}'", o_.task);
    }
    example_.inputs.resize(static_cast<size_t>(o_.length));
    if (!example_.second.empty()) example_.second.resize(static_cast<size_t>(o_.length));
    return std::move(example_);
  }

 private:
  int64_t below(int64_t n) {
    return static_cast<int64_t>(stream_.below(next_++, static_cast<uint64_t>(n)));
  }
  int64_t symbol() { return kFirstSymbol + below(o_.symbols); }
  void put(int64_t token) { example_.inputs.push_back(token); }
  /// The target of the place put last.
  void ask(int64_t target) { example_.targets[example_.inputs.size() - 1] = target; }
  void need(bool fits, int64_t places) const {
    if (!fits) {
      fail_request("synthetic {}: {} places are needed, the length is {}", o_.task, places,
                   o_.length);
    }
  }
  Permutation shuffle(int64_t n, std::string_view what) const {
    return {key_.derive(what), static_cast<uint64_t>(n)};
  }
  static int64_t at(const Permutation& order, int64_t i) {
    return static_cast<int64_t>(order(static_cast<uint64_t>(i)));
  }

  // The separator predicts the first symbol of the answer, each symbol of it the next.
  void copy() {
    need(o_.length >= 2, 2);
    const int64_t count = o_.length / 2;
    std::vector<int64_t> text;
    for (int64_t i = 0; i < count; ++i) text.push_back(symbol());
    for (const int64_t token : text) put(token);
    if (o_.task == "reverse") std::reverse(text.begin(), text.end());
    put(kSeparator);
    for (int64_t i = 0; i < count; ++i) {
      ask(text[static_cast<size_t>(i)]);
      if (i + 1 < count) put(text[static_cast<size_t>(i)]);
    }
  }

  // The lower half of the symbols are keys, the upper half values.
  void recall() {
    const int64_t keys = o_.symbols / 2;
    need(2 * o_.pairs + o_.queries <= o_.length, 2 * o_.pairs + o_.queries);
    check_pairs(keys);
    const Permutation order = shuffle(keys, "keys"), asked = shuffle(o_.pairs, "queries");
    std::vector<int64_t> values;
    for (int64_t i = 0; i < o_.pairs; ++i) {
      put(kFirstSymbol + at(order, i));
      values.push_back(kFirstSymbol + keys + below(o_.symbols - keys));
      put(values.back());
    }
    for (int64_t i = 0; i < o_.queries; ++i) {
      put(kFirstSymbol + at(order, at(asked, i)));
      ask(values[static_cast<size_t>(at(asked, i))]);
    }
  }

  void two_channel() {
    need(o_.pairs + o_.queries <= o_.length, o_.pairs + o_.queries);
    check_pairs(o_.symbols);
    const Permutation order = shuffle(o_.symbols, "keys"), asked = shuffle(o_.pairs, "queries");
    for (int64_t i = 0; i < o_.pairs; ++i) {
      put(kFirstSymbol + at(order, i));
      example_.second.push_back(symbol());
    }
    for (int64_t i = 0; i < o_.queries; ++i) {
      put(kFirstSymbol + at(order, at(asked, i)));
      ask(example_.second[static_cast<size_t>(at(asked, i))]);
    }
  }

  void check_pairs(int64_t keys) const {
    if (o_.pairs > keys || o_.queries > o_.pairs) {
      fail_request("synthetic {}: {} queries of {} pairs of {} keys", o_.task, o_.queries, o_.pairs,
                   keys);
    }
  }

  void passkey() {
    const int64_t answer = o_.digits + 1, room = o_.length - 2 * answer + 1;
    need(room >= 0, 2 * answer - 1);
    const int64_t before = below(room + 1);
    std::vector<int64_t> key;
    for (int64_t i = 0; i < o_.digits; ++i) key.push_back(symbol());
    for (int64_t i = 0; i < before; ++i) put(symbol());
    put(kSeparator);
    for (const int64_t token : key) put(token);
    for (int64_t i = before; i < room; ++i) put(symbol());
    put(kAsk);
    for (size_t i = 0; i < key.size(); ++i) {
      ask(key[i]);
      if (i + 1 < key.size()) put(key[i]);
    }
  }

  /// A value's token: behind the symbols.
  int64_t value_token(int64_t value) const { return kFirstSymbol + o_.symbols + value; }
  /// Whether the place put last is one to ask at.
  bool asks_here() const { return o_.asked == "every" || std::ssize(example_.inputs) == o_.length; }

  void carry() {
    constexpr int64_t kFree = 8;  // places at the end without a key
    need(o_.length > kFree, kFree + 1);
    int64_t at = 0;
    if (o_.places.empty()) {
      at = below(o_.length - kFree);
    } else {
      at = o_.places[static_cast<size_t>(below(std::ssize(o_.places)))];
      need(at < o_.length, at + 1);
    }
    const int64_t key = value_token(below(o_.values));
    for (int64_t i = 0; i < o_.length; ++i) {
      put(i == at ? key : symbol());
      if (i >= at && asks_here()) ask(key);
    }
  }

  // Every key asks for its value: the first time for what is usual, the second for what was seen.
  void needle() {
    const int64_t keys = needle_keys();
    const Permutation ids = shuffle(o_.symbols, "keys"), order = shuffle(2 * keys, "order");
    std::vector<int64_t> values = {1 + below(o_.values - 1)};  // key 0 is the needle
    for (int64_t i = 1; i < keys; ++i) {
      const bool first = below(10) < 6;
      const int64_t any = below(o_.values);
      values.push_back(first ? 0 : any);
    }
    const auto value_of = [&](int64_t key) {
      return value_token(values[static_cast<size_t>(key)]);
    };
    const auto put_key = [&](int64_t key, bool asked) {
      put(kFirstSymbol + at(ids, key));
      if (asked) ask(value_of(key));
    };
    const bool every = o_.asked == "every";
    for (int64_t i = 0; i < 2 * keys; ++i) {
      const int64_t key = at(order, i) % keys;
      put_key(key, every && !o_.paired);
      if (o_.paired) {
        example_.second.push_back(value_of(key));
      } else {
        put(value_of(key));
      }
    }
    const int64_t questions = o_.paired ? o_.queries : 1;
    for (int64_t key = questions - 1; key >= 0; --key) put_key(key, every || key == 0);
  }

  int64_t needle_keys() const {
    if (o_.values < 2) fail_request("synthetic needle: two values or more, not {}", o_.values);
    const int64_t keys = o_.paired ? (o_.length - o_.queries) / 2 : (o_.length - 1) / 4;
    const int64_t needed = o_.paired ? 2 * keys + o_.queries : 4 * keys + 1;
    if (keys < 1 || o_.length != needed || keys > o_.symbols || (o_.paired && o_.queries > keys)) {
      fail_request("synthetic needle: a length of {} for n keys of {}{}, got {}",
                   o_.paired ? fmt::format("2 n + {} (queries)", o_.queries) : "4 n + 1",
                   o_.symbols, o_.paired ? ", no more queries than keys" : "", o_.length);
    }
    return keys;
  }

  void induction() {
    need(o_.length >= 3, 3);
    const int64_t first = below(o_.length - 2);
    for (int64_t i = 0; i + 1 < o_.length; ++i) put(i == first ? kSeparator : symbol());
    put(kSeparator);
    ask(example_.inputs[static_cast<size_t>(first) + 1]);
  }

  // Rows of the table from exponential draws: uniform on the simplex (Dirichlet(1)).
  void markov() {
    const RandomStream table(key_.derive("table"));
    const auto step = [&](int64_t from) {
      std::vector<double> cumulative;
      double sum = 0;
      for (int64_t to = 0; to < o_.symbols; ++to) {
        const auto place = static_cast<uint64_t>(from * o_.symbols + to);
        sum -= std::log((static_cast<double>(table.word(place)) + 0.5) * 0x1p-32);
        cumulative.push_back(sum);
      }
      const double draw = static_cast<double>(below(int64_t{1} << 32)) * 0x1p-32 * sum;
      return std::min(
          std::upper_bound(cumulative.begin(), cumulative.end(), draw) - cumulative.begin(),
          o_.symbols - 1);
    };
    int64_t state = below(o_.symbols);
    for (int64_t i = 0; i < o_.length; ++i) {
      put(kFirstSymbol + state);
      state = step(state);
      ask(kFirstSymbol + state);
    }
  }

  // A tree of at most `budget` tokens; returns its value.
  int64_t tree(int64_t depth, int64_t budget) {
    if (depth == 0 || budget < 4 || below(4) == 0) {
      const int64_t digit = below(10);
      put(kFirstSymbol + digit);
      return digit;
    }
    const int64_t operation = below(4);
    const size_t end = example_.inputs.size() + static_cast<size_t>(budget) - 1;
    put(kOperators + operation);
    const int64_t count = 2 + below(4);
    std::vector<int64_t> values;
    for (int64_t i = 0; i < count; ++i) {
      const auto left = static_cast<int64_t>(end - example_.inputs.size());
      if (left < 1) break;
      const int64_t reserve = i == 0 ? 1 : 0;  // a second operand always finds room
      values.push_back(tree(depth - 1, left - reserve));
    }
    put(kClose);
    std::sort(values.begin(), values.end());
    int64_t sum = 0;
    for (const int64_t value : values) sum += value;
    switch (operation) {
      case 0:
        return values.back();
      case 1:
        return values.front();
      case 2:
        return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
      default:
        return sum % 10;
    }
  }

  void listops() {
    need(o_.length >= 2, 2);
    const int64_t value = tree(o_.depth, o_.length - 1);
    put(kAsk);
    ask(kFirstSymbol + value);
  }

  const SyntheticOptions& o_;
  RandomKey key_;
  RandomStream stream_;
  uint64_t next_ = 0;
  SyntheticExample example_;
};

bool has_values(const std::string& task) { return task == "carry" || task == "needle"; }

}  // namespace

void SyntheticOptions::options(Options& o) {
  o.field("task", task, "what is to be learnt",
          {.one_of = {"copy", "reverse", "recall", "two_channel", "passkey", "carry", "needle",
                      "induction", "markov", "listops"}});
  o.field("length", length, "places of an example", {.min = 2, .max = 1 << 24});
  o.field("symbols", symbols, "different symbols; listops has its own", {.min = 2, .max = 1 << 20});
  o.field("pairs", pairs, "key-value pairs of recall and two_channel", {.min = 1});
  o.field("queries", queries, "keys asked for in recall, two_channel and paired needle",
          {.min = 1});
  o.field("digits", digits, "symbols of a passkey", {.min = 1});
  o.field("depth", depth, "nesting of listops, at most", {.min = 1, .max = 64});
  o.field("values", values, "values of carry and needle, beside the symbols", {.min = 1});
  o.field("asked", asked, "carry, needle: every place asks, or the last alone",
          {.one_of = {"every", "last"}});
  o.field("paired", paired, "needle: a key and its value side by side in one place");
  o.field("places", places, "carry: where the key may stand; empty: anywhere but the last 8 places",
          {.min = 0});
  const SyntheticOptions usual;
  const bool keyed = task == "recall" || task == "two_channel";
  o.check(!paired || task == "needle", "paired",
          fmt::format("the task '{}' has no `paired`", task));
  check_read(o, task != "listops", task, "symbols", symbols, usual.symbols);
  check_read(o, keyed, task, "pairs", pairs, usual.pairs);
  check_read(o, keyed || paired, task, "queries", queries, usual.queries);
  check_read(o, task == "passkey", task, "digits", digits, usual.digits);
  check_read(o, task == "listops", task, "depth", depth, usual.depth);
  check_read(o, has_values(task), task, "values", values, usual.values);
  o.check(has_values(task) || asked == usual.asked, "asked",
          fmt::format("the task '{}' has no `asked`", task));
  o.check(task == "carry" || places.empty(), "places",
          fmt::format("the task '{}' has no `places`", task));
}

void check_read(Options& o, bool read, const std::string& task, const char* name, int64_t value,
                int64_t usual) {
  o.check(read || value == usual, name, fmt::format("the task '{}' has no `{}`", task, name));
}

void SyntheticDataOptions::options(Options& o) {
  sequences.options(o);
  o.field("validation", validation, "held-out examples, the same for every run", {.min = 0});
}

int64_t synthetic_vocab(const SyntheticOptions& options) {
  if (options.task == "listops") return kClose + 1;
  return kFirstSymbol + options.symbols + (has_values(options.task) ? options.values : 0);
}

SyntheticExample synthetic_example(const SyntheticOptions& options, uint64_t seed, int64_t index) {
  HEED_CHECK(index >= 0, "synthetic: example {}", index);
  const RandomKey key{seed, hash_name("data/synthetic"), static_cast<uint64_t>(index)};
  return Maker(options, key.derive(options.task)).make();
}

SyntheticBatch synthetic_batch(const SyntheticOptions& options, int64_t batch, uint64_t seed,
                               int64_t index, const RowSlice& slice) {
  const RowRange rows = rows_of(slice, batch);
  const Shape shape{rows.end - rows.begin, options.length};
  SyntheticBatch out;
  out.tokens = {Tensor::empty(shape, DType::i64), Tensor::empty(shape, DType::i64), index, 0};
  if (options.two_channels()) out.second = Tensor::empty(shape, DType::i64);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const SyntheticExample example = synthetic_example(options, seed, index * batch + row);
    const int64_t at = (row - rows.begin) * options.length;
    std::copy(example.inputs.begin(), example.inputs.end(), out.tokens.inputs.data<int64_t>() + at);
    std::copy(example.targets.begin(), example.targets.end(),
              out.tokens.targets.data<int64_t>() + at);
    if (out.second.defined()) {
      std::copy(example.second.begin(), example.second.end(), out.second.data<int64_t>() + at);
    }
    out.tokens.count += std::count_if(example.targets.begin(), example.targets.end(),
                                      [](int64_t target) { return target != kIgnoreTarget; });
  }
  return out;
}

}  // namespace heed::data
