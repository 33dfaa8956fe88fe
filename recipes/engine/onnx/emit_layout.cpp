#include <numeric>

#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

int64_t axis(int64_t dim, int64_t rank) { return dim < 0 ? dim + rank : dim; }

/// reshape, squeeze and unsqueeze, which leave the order of the elements.
void reshape(Op& op) { op.out(op.reshape(op.in(0), op.result().shape().vector())); }

void transpose(Op& op) {
  const int64_t rank = op.shape(0).rank();
  std::vector<int64_t> order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[static_cast<size_t>(axis(op.integer("a"), rank))],
            order[static_cast<size_t>(axis(op.integer("b"), rank))]);
  op.out(op.transpose(op.in(0), order));
}

void permute(Op& op) {
  std::vector<int64_t> order = op.integers("order");
  for (int64_t& dim : order) dim = axis(dim, op.shape(0).rank());
  op.out(op.transpose(op.in(0), order));
}

void slice(Op& op) {
  op.out(op.slice(op.in(0), op.integer("dim"), op.integer("begin"), op.integer("end"),
                  op.integer("step")));
}

void select(Op& op) {
  const std::string index = op.graph().constant(Tensor::scalar<int64_t>(op.integer("index")));
  op.out(op.node("Gather", {op.in(0), index}, {{"axis", op.integer("dim")}}));
}

void expand(Op& op) {
  op.out(op.node("Expand", {op.in(0), op.graph().integers(op.result().shape().vector())}));
}

void concat(Op& op) {
  Names parts;
  for (size_t i = 0; i < op.inputs(); ++i)
    if (op.tensor(i).numel() > 0) parts.push_back(op.in(i));
  op.out(op.node("Concat", parts, {{"axis", op.integer("dim")}}));
}

void stack(Op& op) {
  Names parts;
  for (const std::string& part : op.all_in())
    parts.push_back(op.node("Unsqueeze", {part, op.graph().integers({op.integer("dim")})}));
  op.out(op.node("Concat", parts, {{"axis", op.integer("dim")}}));
}

void split(Op& op) {
  const Names parts =
      op.graph().nodes("Split", {op.in(0), op.graph().integers(op.integers("sizes"))},
                       static_cast<int>(op.outputs()), {{"axis", op.integer("dim")}});
  for (size_t i = 0; i < parts.size(); ++i) op.out(i, parts[i]);
}

void roll(Op& op) {
  const int64_t dim = op.integer("dim"), n = op.shape(0)[static_cast<int>(dim)];
  const int64_t by = n == 0 ? 0 : (op.integer("shift") % n + n) % n;
  if (by == 0) return op.out(op.in(0));
  op.out(op.node("Concat", {op.slice(op.in(0), dim, n - by, n), op.slice(op.in(0), dim, 0, n - by)},
                 {{"axis", dim}}));
}

/// A linear map along each spatial axis of [B, spatial..., C], given as matrices [out, in].
void separable(Op& op) {
  std::string x = op.in(0);
  std::vector<int64_t> shape = op.shape(0).vector();
  for (size_t d = 1; d < op.inputs(); ++d) {
    const Shape matrix = op.shape(d);
    const auto product = [](auto begin, auto end) {
      return std::accumulate(begin, end, int64_t{1}, std::multiplies<>());
    };
    const auto at = shape.begin() + static_cast<std::ptrdiff_t>(d);
    x = op.reshape(x, {product(shape.begin(), at), matrix[1], product(at + 1, shape.end())});
    x = op.node("MatMul", {op.in(d), x});
    shape[d] = matrix[0];
  }
  op.out(op.reshape(x, shape));
}

void pad(Op& op) {
  if (op.has_attribute("separable")) return separable(op);
  const int64_t value_of = op.integer("dim");
  op.out(op.node("Pad", {op.in(0), op.graph().integers({op.integer("before"), op.integer("after")}),
                         op.scalar(op.number("value")), op.graph().integers({value_of})}));
}

}  // namespace

Emitters layout_emitters() {
  return {
      {"reshape", reshape},
      {"squeeze", reshape},
      {"unsqueeze", reshape},
      {"transpose", transpose},
      {"permute", permute},
      {"slice", slice},
      {"select", select},
      {"expand", expand},
      {"concat", concat},
      {"stack", stack},
      {"split", split},
      {"contiguous", [](Op& op) { op.out(op.in(0)); }},
      {"roll", roll},
      {"pad", pad},
      {"interpolate", separable},
      {"unfold", separable},
      {"fold", separable},
      {"avg_pool", separable},
      {"adaptive_avg_pool", separable},
  };
}

}  // namespace heed::recipes::onnx
