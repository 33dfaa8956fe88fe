// Reviews made by a formula (the miniature of LAMA, arXiv 1912.00835): three aspects, each praised
// or not, among noise. The class tells all three at once: bit k is aspect k's.
//
// Each aspect is named twice, in two neighbouring places that begin at an even one: a noise word
// and a word of the true polarity, or (with the probability `negation`) "not" and a word of the
// other one. Single words thus tell little; all other places hold noise, its words by Zipf's law.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/options.h"
#include "data/labelled_dataset.h"
#include "data/procedural_scenes.h"

namespace heed::data {

struct AspectTextsOptions {
  int64_t shortest = 24;  ///< tokens; the lengths are uniform
  int64_t length = 48;
  int64_t noise_words = 940;
  double negation = 0.4;
  ProceduralParts parts;

  void options(Options& o);
};

/// Ids of the words of example `index`, and its class below 8. Ids: 2 is "not", then come 3 aspects
/// x (bad, good) x 8 words, then the noise.
std::pair<std::vector<int64_t>, int64_t> aspect_example(const AspectTextsOptions& options,
                                                        uint64_t seed, int64_t index);

/// Kind "texts" of 8 classes.
std::unique_ptr<LabelledDataset> open_aspect_texts(const AspectTextsOptions& options,
                                                   const SourceLocation& where = {});

}  // namespace heed::data
