#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

Emitter reduced(const char* onnx) {
  return [onnx](Op& op) {
    op.out(op.reduce(onnx, op.in(0), op.integers("dims"), op.integer("keepdim") != 0));
  };
}

/// Reductions whose result is reshaped at the end.
std::string shaped(Op& op, const std::string& y) {
  return op.reshape(y, op.result().shape().vector());
}

int64_t reduced_count(Op& op) {
  int64_t count = 1;
  for (const int64_t dim : op.integers("dims")) count *= op.shape(0)[static_cast<int>(dim)];
  return count;
}

std::string variance(Op& op) {
  const std::vector<int64_t>& dims = op.integers("dims");
  if (dims.empty()) return op.scalar(0.0);  // of a tensor without dimensions
  const double freedom = static_cast<double>(reduced_count(op)) - op.number("correction");
  const std::string mean = op.reduce("ReduceMean", op.in(0), dims, true);
  const std::string centred = op.node("Sub", {op.in(0), mean});
  const std::string sum = op.reduce("ReduceSum", op.mul(centred, centred), dims, true);
  return op.node("Div", {sum, op.scalar(freedom)});
}

/// The largest or smallest along a dimension, and where it stands first.
Emitter extreme(const char* values, const char* places) {
  return [values, places](Op& op) {
    const int64_t dim = op.integer("dim");
    const bool keep = op.integer("keepdim") != 0;
    op.out(0, op.reduce(values, op.in(0), {dim}, keep));
    if (op.wanted(1)) {
      op.out(1, op.node(places, {op.in(0)}, {{"axis", dim}, {"keepdims", int64_t{keep}}}));
    }
  };
}

Emitter place(const char* onnx) {
  return [onnx](Op& op) {
    op.out(op.node(onnx, {op.in(0)}, {{"axis", op.integer("dim")}, {"keepdims", int64_t{0}}}));
  };
}

Emitter softmax(const char* onnx) {
  return [onnx](Op& op) { op.out(op.node(onnx, {op.in(0)}, {{"axis", op.integer("dim")}})); };
}

void cumsum(Op& op) {
  op.out(op.node("CumSum",
                 {op.in(0), op.graph().constant(Tensor::scalar<int64_t>(op.integer("dim")))},
                 {{"reverse", op.integer("reverse")}}));
}

/// A banded matrix times x: row i adds up the `window` latest of 0 ... i, or takes their mean.
Emitter moving(bool mean) {
  return [mean](Op& op) {
    const int rank = op.shape(0).rank();
    const int dim =
        static_cast<int>(op.integer("dim") < 0 ? op.integer("dim") + rank : op.integer("dim"));
    const int64_t n = op.shape(0)[dim], window = op.integer("window");
    std::vector<double> band(static_cast<size_t>(n * n));
    for (int64_t i = 0; i < n; ++i) {
      const int64_t first = std::max<int64_t>(i - window + 1, 0);
      for (int64_t j = first; j <= i; ++j)
        band[static_cast<size_t>(i * n + j)] =
            mean ? 1.0 / static_cast<double>(i - first + 1) : 1.0;
    }
    const Tensor exact = Tensor::from(band, {n, n});
    Tensor matrix = Tensor::empty({n, n}, op.tensor(0).dtype());
    if (matrix.dtype() == DType::f64) {
      matrix = exact;
    } else {
      for (int64_t i = 0; i < n * n; ++i) {
        matrix.data<float>()[i] = static_cast<float>(band[static_cast<size_t>(i)]);
      }
    }
    int64_t outer = 1, inner = 1;
    for (int d = 0; d < dim; ++d) outer *= op.shape(0)[d];
    for (int d = dim + 1; d < rank; ++d) inner *= op.shape(0)[d];
    const std::string rows = op.reshape(op.in(0), {outer, n, inner});
    op.out(
        op.reshape(op.node("MatMul", {op.graph().constant(matrix), rows}), op.shape(0).vector()));
  };
}

}  // namespace

Emitters reduce_emitters() {
  return {
      {"sum", reduced("ReduceSum")},
      {"mean", reduced("ReduceMean")},
      {"max", extreme("ReduceMax", "ArgMax")},
      {"min", extreme("ReduceMin", "ArgMin")},
      {"argmax", place("ArgMax")},
      {"argmin", place("ArgMin")},
      {"var", [](Op& op) { op.out(shaped(op, variance(op))); }},
      {"standard_deviation", [](Op& op) { op.out(shaped(op, op.node("Sqrt", {variance(op)}))); }},
      {"l2_norm",
       [](Op& op) {
         op.out(shaped(op, op.reduce("ReduceL2", op.in(0), op.integers("dims"), true)));
       }},
      {"logsumexp", [](Op& op) { op.out(op.reduce("ReduceLogSumExp", op.in(0), {1}, false)); }},
      {"softmax", softmax("Softmax")},
      {"log_softmax", softmax("LogSoftmax")},
      {"cumsum", cumsum},
      {"moving_sum", moving(false)},
      {"moving_mean", moving(true)},
  };
}

}  // namespace heed::recipes::onnx
