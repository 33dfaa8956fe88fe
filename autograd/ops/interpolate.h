// Resizing, channels last.
#pragma once

#include "autograd/tape.h"

namespace heed {

enum class Interpolation { nearest, linear, cubic };

/// x [B, spatial..., C] with one to three spatial dimensions -> [B, size..., C] (one number for
/// all, or one each), each axis on its own, by PyTorch's rules with align_corners = false: result o
/// stands at (o + 1/2) in / out - 1/2. nearest takes element floor(o in / out); linear clamps the
/// position at 0; cubic (Keys 1981, a = -3/4) repeats the outermost elements.
Tensor interpolate(const Tensor& x, const Shape& size, Interpolation mode = Interpolation::nearest);

}  // namespace heed
