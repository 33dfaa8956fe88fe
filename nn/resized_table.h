// Learned tables over a grid of positions, taken over by a model of another grid: fine-tuning at
// another resolution or window (Dosovitskiy et al., arXiv 2010.11929, section 3.2).
#pragma once

#include <string>

#include "core/tensor.h"

namespace heed::nn {

/// A module with such a table.
class ResizesTables {
 public:
  virtual ~ResizesTables() = default;
  /// `given`, what another model has as this module's parameter `name` (of its own, without the
  /// path), at this module's size; undefined where nothing can be made of it.
  virtual Tensor resized_table(const std::string& name, const Tensor& given) const = 0;
};

/// A table [extra + h w, ...] whose rows after the first `extra` belong to a square h = w (where
/// h w is no square number, nothing is returned), resized to [extra + height width, ...] by bicubic
/// interpolation without antialiasing, as DeiT and Swin do; the extra rows stay.
Tensor resized_rows(const Tensor& table, int64_t extra, int64_t height, int64_t width);

}  // namespace heed::nn
