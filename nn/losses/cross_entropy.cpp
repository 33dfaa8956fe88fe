#include "nn/losses/cross_entropy.h"

namespace heed::nn {

void CrossEntropySettings::options(Options& o) {
  o.field("ignore_index", ignore_index, "targets of this value do not count");
  o.field("smoothing", smoothing, "probability spread evenly over all classes",
          {.min = 0, .below = 1});
}

CrossEntropy::CrossEntropy(const CrossEntropySettings& settings)
    : options{settings.ignore_index, settings.smoothing} {}

Tensor CrossEntropy::forward(const Tensor& logits, const Tensor& targets) {
  return cross_entropy(logits, targets, options);
}

}  // namespace heed::nn
