// ListOps (Nangia & Bowman, arXiv 1804.06028) as labelled texts: nested MAX, MIN, MED and SM of
// digits, the class being the value. The generator is data/synthetic.h's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/options.h"
#include "data/labelled_dataset.h"
#include "data/procedural_scenes.h"
#include "data/synthetic.h"

namespace heed::data {

struct ListOpsOptions {
  int64_t length = 64;
  int64_t depth = 4;
  ProceduralParts parts;

  void options(Options& o);
};

/// The tokens of example `index` up to and with the question, and the value.
std::pair<std::vector<int64_t>, int64_t> listops_example(const SyntheticOptions& options,
                                                         uint64_t seed, int64_t index);
/// How a token from data/synthetic.h is written: "max", "7", ")".
const std::string& listops_word(int64_t token);

/// Kind "texts"; the classes are the digits. Token ids are those of data/synthetic.h.
std::unique_ptr<LabelledDataset> open_listops(const ListOpsOptions& options,
                                              const SourceLocation& where = {});

}  // namespace heed::data
