// Differentiable rearrangements that copy: padding, rolling, repeating, windows and patches.
// Dimensions may be negative; spatial ops take x [B, spatial..., C] with one to three spatial
// dimensions.
#pragma once

#include <vector>

#include "autograd/tape.h"

namespace heed {

enum class PadMode { constant, replicate, reflect };

struct PadWidth {
  int dim;
  int64_t before, after;
};

/// x with elements added before and behind it along each of the given dimensions: `value`, or (of a
/// floating x) the outermost element, or x mirrored without repeating that one (before, after <
/// extent). The gradient of copies is added to what they copy.
Tensor pad(const Tensor& x, const std::vector<PadWidth>& widths, PadMode mode = PadMode::constant,
           double value = 0.0);

/// y[(i + shift) mod n] = x[i] along each dimension, one shift for each.
Tensor roll(const Tensor& x, const std::vector<int64_t>& shifts, const std::vector<int>& dims);

/// The given dimensions in reverse order.
Tensor flip(const Tensor& x, const std::vector<int>& dims);

/// x one after the other, counts[d] times along dimension d (PyTorch's repeat, NumPy's tile).
Tensor repeat(const Tensor& x, const std::vector<int64_t>& counts);

/// ids [...] (i64 or i32, in [0, classes)) -> [..., classes] in `dtype`: 1 at the id, 0 elsewhere;
/// no gradient.
Tensor one_hot(const Tensor& ids, int64_t classes, DType dtype = DType::f32);

/// x [B, H, W, C factor^2] -> [B, H factor, W factor, C] (Shi et al., arXiv 1609.05158), and its
/// inverse. Channel c factor^2 + i factor + j becomes pixel (i, j) of channel c, as in PyTorch.
Tensor pixel_shuffle(const Tensor& x, int64_t factor);
Tensor pixel_unshuffle(const Tensor& x, int64_t factor);

/// x [B, spatial..., C] cut into windows of `window` (one number or one each, dividing the extents)
/// -> [B, windows, tokens, C], both in row-major order; and the inverse, back to `spatial`.
Tensor window_partition(const Tensor& x, const Shape& window);
Tensor window_reverse(const Tensor& windows, const Shape& window, const Shape& spatial);

/// Patches that a convolution with these options would multiply.
struct PatchOptions {
  Shape kernel;
  Shape stride = {1};
  Shape padding = {0};
  Shape dilation = {1};
};

/// x [B, in..., C] -> [B, out..., kernel... C] (im2col): row (k..., c) of a patch is as a row of
/// conv's weight [Cout, kernel..., C]. Padding is zeros.
Tensor unfold(const Tensor& x, const PatchOptions& options);
/// The adjoint: patches [B, out..., kernel... C] are added where they lie in [B, spatial..., C].
Tensor fold(const Tensor& patches, const Shape& spatial, const PatchOptions& options);

}  // namespace heed
