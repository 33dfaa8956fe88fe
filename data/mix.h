// mixup (Zhang et al., arXiv 1710.09412) and CutMix (Yun et al., arXiv 1905.04899) of a batch: row
// i is mixed with row B - 1 - i, with one share and one box for all rows (timm's "batch" mode).
//   mixup    image = share * own + (1 - share) * other
//   cutmix   image = own, but other within a box of 1 - share of the area
//   label    share * own + (1 - share) * other, one-hot rows
#pragma once

#include "core/random.h"
#include "data/labelled_dataset.h"

namespace heed::data {

struct MixOptions {
  double mixup = 0;        ///< alpha; 0: no mixup
  double cutmix = 0;       ///< alpha; 0: no CutMix
  double probability = 1;  ///< of mixing at all
};

struct Mix {
  double share = 1;  ///< of a row's own image; 1: nothing is mixed
  bool cut = false;
  int64_t top = 0, left = 0, bottom = 0, right = 0;  ///< CutMix's box, clipped to the image
};

/// Which of the two (a fair coin where both are on), the share from Beta(alpha, alpha), the box's
/// centre uniform; the box's clipped area corrects the share.
Mix draw_mix(const MixOptions& options, int64_t height, int64_t width, const RandomKey& key);

/// Mixes row i of `own` with row B - 1 - i of `other` (the same batch, or the rows of other ranks).
/// Labels become f32 [B, classes].
ImageBatch mix_batch(const ImageBatch& own, const ImageBatch& other, const Mix& mix,
                     int64_t classes);

/// A draw of Beta(a, a), a > 0, from two gamma draws (Marsaglia & Tsang, "A simple method for
/// generating gamma variables", 2000).
double draw_beta(double a, const RandomKey& key);

}  // namespace heed::data
