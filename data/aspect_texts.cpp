#include "data/aspect_texts.h"

#include <algorithm>
#include <cmath>

#include "data/made_texts.h"

namespace heed::data {
namespace {

constexpr int64_t kNot = 2, kFirstWord = 3;  // padding and the unknown word come first
constexpr int64_t kAspects = 3, kWords = 8, kTimes = 2;
constexpr int64_t kPlaces = kAspects * kTimes;
constexpr int64_t kFirstNoise = kFirstWord + kAspects * 2 * kWords;

int64_t word_of(int64_t aspect, bool good, int64_t number) {
  return kFirstWord + (aspect * 2 + (good ? 1 : 0)) * kWords + number;
}

std::vector<std::string> words_of(int64_t noise_words) {
  const char* aspects[] = {"food", "room", "staff"};
  std::vector<std::string> words = {"not"};
  for (const char* aspect : aspects)
    for (const char* polarity : {"bad", "good"})
      for (int64_t i = 0; i < kWords; ++i)
        words.push_back(fmt::format("{}{}{}", aspect, polarity, i));
  for (int64_t i = 0; i < noise_words; ++i) words.push_back(fmt::format("w{}", i));
  return words;
}

// Rank r of n with probability proportional to 1 / (r + 1): the share of the first r + 1 ranks.
std::vector<double> zipf_shares(int64_t n) {
  std::vector<double> shares;
  double sum = 0.0;
  for (int64_t rank = 1; rank <= n; ++rank)
    shares.push_back(sum += 1.0 / static_cast<double>(rank));
  for (double& share : shares) share /= sum;
  return shares;
}

std::pair<std::vector<int64_t>, int64_t> made(const AspectTextsOptions& o,
                                              const std::vector<double>& shares, uint64_t seed,
                                              int64_t index) {
  const RandomKey key =
      RandomKey{seed, hash_name("data/aspect_texts"), 0}.derive(static_cast<uint64_t>(index));
  const RandomStream draws(key), noise(key.derive("noise"));
  uint64_t drawn = 0;
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(draws.below(drawn++, static_cast<uint64_t>(n)));
  };
  const int64_t length = o.shortest + below(o.length - o.shortest + 1), label = below(8);

  std::vector<int64_t> ids(static_cast<size_t>(length));
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto rank =
        std::upper_bound(shares.begin(), shares.end() - 1, static_cast<double>(noise.uniform(i)));
    ids[i] = kFirstNoise + (rank - shares.begin());
  }
  std::vector<int64_t> places(static_cast<size_t>(length / 2));  // pairs of tokens
  for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int64_t>(i);
  for (int64_t i = 0; i < kPlaces; ++i) {  // the first of a shuffle
    std::swap(places[static_cast<size_t>(i)],
              places[static_cast<size_t>(i + below(std::ssize(places) - i))]);
    const int64_t aspect = i / kTimes, place = 2 * places[static_cast<size_t>(i)];
    const bool good = (label >> aspect & 1) != 0;
    const bool negated = draws.uniform(drawn++) < static_cast<float>(o.negation);
    if (negated) ids[static_cast<size_t>(place)] = kNot;
    ids[static_cast<size_t>(place) + 1] = word_of(aspect, good != negated, below(kWords));
  }
  return {std::move(ids), label};
}

class AspectTexts : public MadeTexts {
 public:
  explicit AspectTexts(const AspectTextsOptions& o)
      : MadeTexts(o.parts, o.length, words_of(o.noise_words), "made reviews of three aspects"),
        options_(o),
        shares_(zipf_shares(o.noise_words)) {
    for (int64_t label = 0; label < 8; ++label) {
      class_names_.push_back(fmt::format("food{} room{} staff{}", (label & 1) != 0 ? "+" : "-",
                                         (label & 2) != 0 ? "+" : "-",
                                         (label & 4) != 0 ? "+" : "-"));
    }
  }

 protected:
  std::pair<std::vector<int64_t>, int64_t> make(uint64_t seed, int64_t index) const override {
    return made(options_, shares_, seed, index);
  }

 private:
  AspectTextsOptions options_;
  std::vector<double> shares_;
};

}  // namespace

void AspectTextsOptions::options(Options& o) {
  o.field("shortest", shortest, "tokens of a text, at least", {.min = 2 * kPlaces});
  o.field("length", length, "tokens of a text, at most", {.min = 2 * kPlaces, .max = 1 << 24});
  o.field("noise_words", noise_words, "different words that say nothing",
          {.min = 1, .max = 1 << 20});
  o.field("negation", negation, "probability of \"not\" and the opposite", {.min = 0, .max = 1});
  parts.options(o);
  o.check(shortest <= length, "shortest",
          fmt::format("shortest ({}) must be at most length ({})", shortest, length));
}

std::pair<std::vector<int64_t>, int64_t> aspect_example(const AspectTextsOptions& options,
                                                        uint64_t seed, int64_t index) {
  return made(options, zipf_shares(options.noise_words), seed, index);
}

std::unique_ptr<LabelledDataset> open_aspect_texts(const AspectTextsOptions& options,
                                                   const SourceLocation&) {
  return std::make_unique<AspectTexts>(options);
}

}  // namespace heed::data
