// ListOps (Nangia & Bowman, arXiv 1804.06028) as labelled texts: nested MAX, MIN, MED and SM of
// digits, the class being the value. The generator is data/synthetic.h's.
#pragma once

#include <memory>

#include "core/options.h"
#include "data/labelled_dataset.h"
#include "data/procedural_scenes.h"

namespace heed::data {

struct ListOpsOptions {
  int64_t length = 64;
  int64_t depth = 4;
  ProceduralParts parts;

  void options(Options& o);
};

/// Kind "texts"; the classes are the digits. Token ids are those of data/synthetic.h.
std::unique_ptr<LabelledDataset> open_listops(const ListOpsOptions& options,
                                              const SourceLocation& where = {});

}  // namespace heed::data
