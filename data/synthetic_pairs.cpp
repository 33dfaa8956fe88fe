// Pairs of texts made by rules.
#include <algorithm>

#include "core/random.h"
#include "data/listops.h"
#include "data/synthetic.h"
#include "data/text_pairs.h"

namespace heed::data {
namespace {

uint64_t seed_of(const SyntheticPairOptions& options, Part part) {
  return mix(static_cast<uint64_t>(options.parts.seed) ^ hash_name(name_of(part)));
}

TextPair listops_pair(const SyntheticPairOptions& options, Part part, int64_t index) {
  // The generator's length counts the question at the end, which is not written here.
  const SyntheticOptions made{
      .task = "listops", .length = options.length + 1, .depth = options.depth};
  const auto [tokens, value] = listops_example(made, seed_of(options, part), index);
  TextPair pair{"", std::to_string(value)};
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (i > 0) pair.source += ' ';
    pair.source += listops_word(tokens[i]);
  }
  return pair;
}

}  // namespace

void SyntheticPairOptions::options(Options& o) {
  o.field("task", task, "what is to be learnt", {.one_of = {"copy", "reverse", "sort", "listops"}});
  o.field("min_length", min_length, "letters of a source, at least", {.min = 1});
  o.field("length", length,
          "letters of a source (of listops its digits, operations and brackets), "
          "at most",
          {.min = 1, .max = 1 << 16});
  o.field("symbols", symbols, "different letters", {.min = 2, .max = 26});
  o.field("depth", depth, "nesting of listops, at most", {.min = 1, .max = 64});
  o.check(min_length <= length, "min_length", "min_length must not exceed length");
  const SyntheticPairOptions usual;
  const bool letters = task != "listops";
  check_read(o, letters, task, "min_length", min_length, usual.min_length);
  check_read(o, letters, task, "symbols", symbols, usual.symbols);
  check_read(o, !letters, task, "depth", depth, usual.depth);
  parts.options(o);
  pairs.options(o);
}

TextPair synthetic_pair(const SyntheticPairOptions& options, Part part, int64_t index) {
  if (options.task == "listops") return listops_pair(options, part, index);
  const RandomStream draw(RandomKey{seed_of(options, part), hash_name("data/synthetic-pairs"),
                                    static_cast<uint64_t>(index)}
                              .derive(options.task));
  const auto lengths = static_cast<uint64_t>(options.length - options.min_length + 1);
  const auto length = static_cast<uint64_t>(options.min_length) + draw.below(0, lengths);
  TextPair pair;
  for (uint64_t i = 1; i <= length; ++i) {
    pair.source += static_cast<char>('a' + draw.below(i, static_cast<uint64_t>(options.symbols)));
  }
  pair.target = pair.source;
  if (options.task == "reverse") std::reverse(pair.target.begin(), pair.target.end());
  if (options.task == "sort") std::sort(pair.target.begin(), pair.target.end());
  return pair;
}

std::unique_ptr<TextPairs> open_synthetic_pairs(const SyntheticPairOptions& options,
                                                const SourceLocation& where) {
  const auto made = [&](Part part, int64_t count) {
    std::vector<TextPair> pairs;
    for (int64_t i = 0; i < count; ++i) pairs.push_back(synthetic_pair(options, part, i));
    return pairs;
  };
  return std::make_unique<TextPairs>(
      TextPairs::Parts{made(Part::train, options.parts.train),
                       made(Part::validation, options.parts.validation),
                       made(Part::test, options.parts.test)},
      options.pairs, where);
}

}  // namespace heed::data
