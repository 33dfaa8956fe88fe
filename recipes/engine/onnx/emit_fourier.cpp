// Fourier transforms, axis by axis; complex numbers are a last dimension of 2 on both sides.
#include <cmath>

#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

/// DFT along one axis of [..., 1 or 2].
std::string transformed(Op& op, const std::string& x, int64_t axis, bool inverse, bool onesided) {
  return op.node("DFT", {x},
                 {{"axis", axis}, {"inverse", int64_t{inverse}}, {"onesided", int64_t{onesided}}});
}

int64_t from_front(int64_t dim, int64_t rank) { return dim < 0 ? dim + rank : dim; }

/// ONNX divides an inverse by the extents; heed's scale says all.
void complex_transform(Op& op) {
  const int64_t rank = op.shape(0).rank() - 1;
  const bool inverse = op.integer("inverse") != 0;
  std::string x = op.in(0);
  double scale = op.number("scale");
  for (const int64_t dim : op.integers("dims")) {
    const int64_t axis = from_front(dim, rank);
    x = transformed(op, x, axis, inverse, false);
    if (inverse) scale *= static_cast<double>(op.shape(0)[static_cast<int>(axis)]);
  }
  op.out(op.mul(x, op.scalar(scale)));
}

void real_transform(Op& op) {
  const int64_t rank = op.shape(0).rank();
  const std::vector<int64_t>& dims = op.integers("dims");
  std::string x = op.node("Unsqueeze", {op.in(0), op.graph().integers({-1})});
  x = transformed(op, x, from_front(dims.back(), rank), false, true);
  for (size_t i = 0; i + 1 < dims.size(); ++i)
    x = transformed(op, x, from_front(dims[i], rank), false, false);
  op.out(op.mul(x, op.scalar(op.number("scale"))));
}

/// The last axis by its definition, since ONNX has no inverse of half a spectrum: y_t is the sum
/// over the bins f of w_f (re cos - im sin)(2 pi f t / n), w_f being 2 for bins that stand for two.
void real_inverse(Op& op) {
  const int64_t rank = op.shape(0).rank() - 1, n = op.integer("n");
  const std::vector<int64_t>& dims = op.integers("dims");
  std::string x = op.in(0);
  double scale = op.number("scale");
  for (size_t i = 0; i + 1 < dims.size(); ++i) {
    const int64_t axis = from_front(dims[i], rank);
    x = transformed(op, x, axis, true, false);
    scale *= static_cast<double>(op.shape(0)[static_cast<int>(axis)]);
  }
  const int64_t axis = from_front(dims.back(), rank);
  const int64_t bins = op.shape(0)[static_cast<int>(axis)];
  std::vector<float> waves;  // [bins 2, n]
  for (int64_t f = 0; f < bins; ++f) {
    const double weight = (f == 0 || 2 * f == n) ? 1.0 : 2.0;
    for (const bool imaginary : {false, true}) {
      for (int64_t t = 0; t < n; ++t) {
        const double angle = 2 * M_PI * static_cast<double>(f * t % n) / static_cast<double>(n);
        waves.push_back(
            static_cast<float>(scale * weight * (imaginary ? -std::sin(angle) : std::cos(angle))));
      }
    }
  }
  // [.., bins, .., 2] -> [.., .., bins 2] -> [.., .., n] -> [.., n, ..]
  std::vector<int64_t> order, back, shape;
  for (int64_t d = 0; d < rank; ++d) {
    if (d == axis) continue;
    order.push_back(d);
    shape.push_back(op.shape(0)[static_cast<int>(d)]);
  }
  order.push_back(axis);
  order.push_back(rank);
  shape.push_back(2 * bins);
  for (int64_t d = 0; d < rank; ++d) back.push_back(d < axis ? d : d == axis ? rank - 1 : d - 1);
  const std::string rows = op.reshape(op.transpose(x, order), shape);
  const std::string y =
      op.node("MatMul", {rows, op.graph().constant(Tensor::from(waves, {2 * bins, n}))});
  op.out(op.transpose(y, back));
}

}  // namespace

Emitters fourier_emitters() {
  return {{"fftn", complex_transform},
          {"ifftn", complex_transform},
          {"rfftn", real_transform},
          {"irfftn", real_inverse}};
}

}  // namespace heed::recipes::onnx
