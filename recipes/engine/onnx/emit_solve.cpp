// Conjugate gradients (kernels/solve/gram_solve.h) as a Loop: its steps end when every row is done,
// and a row that is done stays as it is.
#include <algorithm>
#include <limits>

#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

constexpr int64_t kBool = 9, kInt32 = 6;

/// Sum over the features of a row, which are kept: [B, H, N, 1].
std::string row_sum(Graph& graph, const std::string& last, const std::string& x) {
  return graph.node("ReduceSum", {x, last}, {{"keepdims", int64_t{1}}});
}

std::string any(Graph& graph, const std::string& flags) {
  const std::string numbers = graph.node("Cast", {flags}, {{"to", kInt32}});
  const std::string most = graph.node("ReduceMax", {numbers}, {{"keepdims", int64_t{0}}});
  return graph.node("Cast", {most}, {{"to", kBool}});
}

/// Inputs weights w [B, H, N, M], keys k [B, H, M, D], right sides y [B, H, N, D], centres c or
/// none: x of (sum_j w_ij z_ij z_ij^T + ridge I) x_i = y_i, z_ij = k_j - c_i.
void gram_solve(Op& op) {
  Graph& outer = op.graph();
  const Shape& rows = op.shape(2);  // [B, H, N, D]
  const Shape numbers{rows[0], rows[1], rows[2], 1};
  const DType dtype = op.tensor(2).dtype();
  const std::string last = outer.integers({-1}), one = op.scalar(1.0), zero = op.scalar(0.0);
  const std::string weights = op.in(0), ridge = op.scalar(op.number("ridge"));
  std::string keys = op.in(1), centre = op.in(3);
  if (!centre.empty()) {  // from the first key on, so that little cancels
    const std::string first = op.slice(keys, 2, 0, 1);
    keys = op.node("Sub", {keys, first});
    centre = op.node("Sub", {centre, first});
  }
  const std::string keys_t = op.transpose(keys, {0, 1, 3, 2});

  // Right sides of about 1, so that no square leaves the range of the numbers.
  const std::string most = op.reduce("ReduceMax", op.node("Abs", {op.in(2)}), {-1}, true);
  const std::string size = op.node("Where", {op.node("Equal", {most, zero}), one, most});
  const std::string side = op.node("Div", {op.in(2), size});
  const std::string norm = row_sum(outer, last, op.mul(side, side));
  const double least =
      std::max(op.number("tolerance"), static_cast<double>(std::numeric_limits<float>::epsilon()));
  const std::string enough = op.mul(norm, op.scalar(least * least));
  const std::string active = op.node("Greater", {norm, zero});

  const auto body = std::make_shared<Graph>(outer.fresh("Loop"));
  const auto input = [&](const char* stem, DType type, const Shape& shape) {
    const std::string name = body->fresh(stem);
    body->input(name, type, shape);
    return name;
  };
  input("step", DType::i64, {});
  input("go_on", DType::boolean, {});
  const std::string x = input("x", dtype, rows), r = input("r", dtype, rows);
  const std::string p = input("p", dtype, rows), n = input("norm", dtype, numbers);
  const std::string on = input("active", DType::boolean, numbers);

  std::string t = body->node("MatMul", {p, keys_t});
  if (!centre.empty())
    t = body->node("Sub", {t, row_sum(*body, last, body->node("Mul", {p, centre}))});
  t = body->node("Mul", {weights, t});
  std::string ap =
      body->node("Add", {body->node("MatMul", {t, keys}), body->node("Mul", {ridge, p})});
  if (!centre.empty())
    ap = body->node("Sub", {ap, body->node("Mul", {row_sum(*body, last, t), centre})});
  const std::string curvature = row_sum(*body, last, body->node("Mul", {p, ap}));
  const auto if_on = [&](const std::string& a, const std::string& b) {
    return body->node("Where", {on, a, b});
  };
  const std::string by = if_on(body->node("Div", {n, if_on(curvature, one)}), zero);
  const std::string next_x = body->node("Add", {x, body->node("Mul", {by, p})});
  const std::string next_r = body->node("Sub", {r, body->node("Mul", {by, ap})});
  const std::string left = row_sum(*body, last, body->node("Mul", {next_r, next_r}));
  const std::string next_norm = if_on(left, n);
  const std::string next_on = body->node("And", {on, body->node("Greater", {left, enough})});
  const std::string ratio = body->node("Div", {left, if_on(n, one)});
  const std::string direction = body->node("Add", {next_r, body->node("Mul", {ratio, p})});
  const std::string next_p = body->node("Where", {next_on, direction, p});
  body->output(any(*body, next_on), body->fresh("go_on"), DType::boolean, {});
  body->output(next_x, body->fresh("x"), dtype, rows);
  body->output(next_r, body->fresh("r"), dtype, rows);
  body->output(next_p, body->fresh("p"), dtype, rows);
  body->output(next_norm, body->fresh("norm"), dtype, numbers);
  body->output(next_on, body->fresh("active"), DType::boolean, numbers);

  const std::string steps = outer.constant(Tensor::scalar<int64_t>(op.integer("iterations")));
  const std::string start = outer.constant(Tensor::zeros(rows, dtype));
  const Names y = outer.nodes("Loop", {steps, any(outer, active), start, side, side, norm, active},
                              5, {{"body", std::shared_ptr<const Graph>(body)}});
  op.out(op.mul(y[0], size));
}

}  // namespace

Emitters solve_emitters() { return {{"gram_solve", gram_solve}}; }

}  // namespace heed::recipes::onnx
