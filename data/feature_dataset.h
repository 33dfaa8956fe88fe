// Features that another model made, with a class each: what probes are trained on. Kind "features":
// a batch's images are [B, D], or [B, N, D] of several vectors an example.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/hold_out.h"
#include "data/labelled_dataset.h"

namespace heed::data {

/// Arrays as read_array() reads them: features f32, f16, bf16 or f64 [N, D] or [N, T, D], labels of
/// integers [N].
struct FeatureOptions {
  std::string train, train_labels, validation, validation_labels, test, test_labels;
  std::vector<std::string> classes;
  HoldOutOptions held;
  void options(Options& o);
};

/// Without other parts, shares of the training examples are held out. RequestErrors name an array
/// of another rank or width, as many labels as there are no features for, a label outside the
/// classes, and a value that is not finite. The arrays stay as they are (files mapped); rows are
/// converted as they are asked for.
std::unique_ptr<LabelledDataset> open_features(const FeatureOptions& options,
                                               const SourceLocation& where = {});

}  // namespace heed::data
