// Losses that layers of a model add to its own: the commitment of vectors to their centroids, the
// balance of a mixture's experts. A layer gives them in its forward pass, the model adds them up.
#pragma once

#include "autograd/tape.h"

namespace heed::nn {

/// While it lives, what layers add on this thread is its; the innermost of several has it.
///   const ExtraLosses extra;
///   return extra.added_to(cross_entropy(...));
class ExtraLosses {
 public:
  ExtraLosses();
  ~ExtraLosses();
  ExtraLosses(const ExtraLosses&) = delete;
  ExtraLosses& operator=(const ExtraLosses&) = delete;

  /// Whether one lives: what would be computed for it alone need not be otherwise.
  static bool wanted();
  /// Adds a 0-dimensional loss to the innermost; nothing where there is none.
  static void add(const Tensor& loss);

  /// Undefined where nothing was added.
  const Tensor& sum() const { return sum_; }
  /// loss + sum(), or the loss itself.
  Tensor added_to(const Tensor& loss) const;

 private:
  Tensor sum_;
  ExtraLosses* outer_;
};

/// A layer that may add some.
struct AddsLosses {
  virtual ~AddsLosses() = default;
  /// Whether it does, as it is configured.
  virtual bool adds_losses() const = 0;
};

}  // namespace heed::nn
