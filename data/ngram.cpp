#include "data/ngram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/parallel.h"
#include "data/flat_map.h"

namespace heed::data {
namespace {

// 64-bit name of an n-gram, built from its last token to its first, so that a shorter suffix is a
// prefix of the computation. Two of a million n-grams share a name with probability 3e-8.
uint64_t extend(uint64_t suffix, uint64_t token) {
  return mix(suffix * 0x9e3779b97f4a7c15u + token + 1) >> 1;  // never FlatMap's empty key
}

struct Context {
  uint32_t total = 0;     // c_k(h)
  uint32_t distinct = 0;  // N_k(h)
};

}  // namespace

double bits_per_byte(double nats, int64_t bytes) {
  return bytes == 0 ? 0 : nats / std::numbers::ln2 / static_cast<double>(bytes);
}

double Score::bits_per_token() const {
  return tokens == 0 ? 0 : nats / std::numbers::ln2 / static_cast<double>(tokens);
}

double Score::bits_per_byte() const { return data::bits_per_byte(nats, bytes); }

int64_t text_bytes(const Tokens& tokens, const Tokenizer& tokenizer, int64_t begin, int64_t count) {
  return tokenizer.text_bytes(tokens.slice(begin, count));
}

struct Ngram::Counts {
  struct Order {
    FlatMap<uint32_t> grams;    // c_k by the name of the k-gram
    FlatMap<Context> contexts;  // by the name of h
    double discount = 0;        // D_k
  };

  // Names of the n-grams that end in a token and of their contexts, for every order: grams[k] of
  // k + 1 tokens, contexts[k] of k.
  struct Names {
    std::vector<uint64_t> grams, contexts;
  };

  int64_t vocab = 0;
  std::vector<Order> orders;  // orders[k] holds the (k + 1)-grams

  // `before(i)` is the i-th token before, from 0; the token `vocab` stands before the text.
  template <class Before>
  void name(TokenId token, Before&& before, Names& names) const {
    const size_t n = orders.size();
    names.grams.resize(n);
    names.contexts.resize(n);
    uint64_t gram = extend(0, static_cast<uint64_t>(token)), context = 0;
    for (size_t k = 0; k < n; ++k) {
      names.grams[k] = gram;
      names.contexts[k] = context;
      if (k + 1 == n) break;
      const auto earlier = static_cast<uint64_t>(before(static_cast<int64_t>(k)));
      gram = extend(gram, earlier);
      context = extend(context, earlier);
    }
  }

  // Counts an occurrence at the highest order; an n-gram seen for the first time counts once, as a
  // new left neighbour, for the shorter one.
  void count(const Names& names) {
    for (size_t k = orders.size(); k-- > 0;) {
      const bool fresh = orders[k].grams[names.grams[k]]++ == 0;
      Context& context = orders[k].contexts[names.contexts[k]];
      ++context.total;
      if (!fresh) return;
      ++context.distinct;
    }
  }

  void set_discounts() {
    for (Order& order : orders) {
      std::array<double, 3> with{};  // n-grams with a count of 1 and of 2
      order.grams.for_each([&](uint64_t, uint32_t count) {
        if (count <= 2) ++with[count];
      });
      // Without n-grams of count 1 the formula gives 0, and unseen words no probability at all.
      order.discount = with[1] > 0 ? with[1] / (with[1] + 2 * with[2]) : 0.5;
    }
  }

  double probability(const Names& names) const {
    double p = 1.0 / static_cast<double>(vocab);
    for (size_t k = 0; k < orders.size(); ++k) {
      const Context* context = orders[k].contexts.find(names.contexts[k]);
      if (context == nullptr) break;  // then the longer contexts are unseen too
      const uint32_t* gram = orders[k].grams.find(names.grams[k]);
      const double count = gram == nullptr ? 0 : *gram;
      p = (std::max(count - orders[k].discount, 0.0) + orders[k].discount * context->distinct * p) /
          context->total;
    }
    return p;
  }
};

Ngram::Ngram(const Tokens& train, int order) : counts_(std::make_unique<Counts>()) {
  if (order < 1 || order > 16) fail_request("ngram: order {} is not in [1, 16]", order);
  if (train.size() < 1) fail_request("ngram: there are no tokens to count");
  counts_->vocab = train.vocab_size();
  counts_->orders.resize(static_cast<size_t>(order));
  Counts::Names names;
  for (int64_t i = 0; i < train.size(); ++i) {
    const auto before = [&](int64_t k) {
      return i - 1 - k < 0 ? counts_->vocab : int64_t{train[i - 1 - k]};
    };
    counts_->name(train[i], before, names);
    counts_->count(names);
  }
  counts_->set_discounts();
}

Ngram::~Ngram() = default;
Ngram::Ngram(Ngram&&) noexcept = default;

int Ngram::order() const { return static_cast<int>(counts_->orders.size()); }

double Ngram::probability(std::span<const TokenId> history, TokenId token) const {
  Counts::Names names;
  const auto size = static_cast<int64_t>(history.size());
  const auto before = [&](int64_t k) {
    return k >= size ? counts_->vocab : int64_t{history[static_cast<size_t>(size - 1 - k)]};
  };
  counts_->name(token, before, names);
  return counts_->probability(names);
}

Score Ngram::score(const Tokens& heldout, const Tokenizer& tokenizer) const {
  if (heldout.size() < 2) fail_request("ngram: {} tokens are too few to score", heldout.size());
  const int64_t count = heldout.size() - 1;
  const double nats = parallel_sum<double>(count, 1 << 14, [&](int64_t begin, int64_t end) {
    Counts::Names names;
    double sum = 0;
    for (int64_t i = begin + 1; i < end + 1; ++i) {
      const auto before = [&](int64_t k) {
        return i - 1 - k < 0 ? counts_->vocab : int64_t{heldout[i - 1 - k]};
      };
      counts_->name(heldout[i], before, names);
      sum -= std::log(counts_->probability(names));
    }
    return sum;
  });
  return {nats, count, text_bytes(heldout, tokenizer, 1, count)};
}

}  // namespace heed::data
