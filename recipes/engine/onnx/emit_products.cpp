#include <algorithm>
#include <numeric>

#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

/// The order that brings the last dimension behind the first: channels last to channels first.
std::vector<int64_t> channels_first(int64_t rank) {
  std::vector<int64_t> order(static_cast<size_t>(rank));
  std::iota(order.begin() + 1, order.end(), 0);
  order[0] = 0;
  order[1] = rank - 1;
  return order;
}

std::vector<int64_t> channels_last(int64_t rank) {
  std::vector<int64_t> order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 1);
  order[0] = 0;
  order[static_cast<size_t>(rank) - 1] = 1;
  return order;
}

/// A node on images with their channels first.
std::string on_channels_first(Op& op, const std::string& type, const Names& others,
                              const NodeAttributes& attributes) {
  const int64_t rank = op.shape(0).rank();
  Names inputs{op.transpose(op.in(0), channels_first(rank))};
  inputs.insert(inputs.end(), others.begin(), others.end());
  return op.transpose(op.node(type, inputs, attributes), channels_last(rank));
}

std::vector<int64_t> both_sides(const std::vector<int64_t>& padding) {
  std::vector<int64_t> pads = padding;
  pads.insert(pads.end(), padding.begin(), padding.end());
  return pads;
}

void linear(Op& op) {
  const std::string x = op.in(0);
  std::string y;
  if (op.shape(0).rank() == 2) {
    y = op.node("Gemm", {x, op.in(1), op.in(2)}, {{"transB", int64_t{1}}});
  } else {
    y = op.node("MatMul", {x, op.transpose(op.in(1), {1, 0})});
    if (op.has(2)) y = op.add(y, op.in(2));
  }
  op.out(op.activated(y, op.integer("activation")));
}

void conv(Op& op) {
  const std::string weight = op.transpose(op.in(1), channels_first(op.shape(1).rank()));
  op.out(on_channels_first(op, "Conv", {weight, op.in(2)},
                           {{"strides", op.integers("stride")},
                            {"pads", both_sides(op.integers("padding"))},
                            {"dilations", op.integers("dilation")},
                            {"group", op.integer("groups")}}));
}

void conv_transpose(Op& op) {
  const std::string weight = op.transpose(op.in(1), channels_first(op.shape(1).rank()));
  op.out(on_channels_first(op, "ConvTranspose", {weight, op.in(2)},
                           {{"strides", op.integers("stride")},
                            {"pads", both_sides(op.integers("padding"))},
                            {"output_padding", op.integers("extra")},
                            {"dilations", op.integers("dilation")},
                            {"group", op.integer("groups")}}));
}

void max_pool(Op& op) {
  const auto &kernel = op.integers("kernel"), &stride = op.integers("stride"),
             &dilation = op.integers("dilation");
  std::vector<int64_t> pads = both_sides(op.integers("padding"));
  for (size_t d = 0; d < kernel.size(); ++d) {
    // What the last window reaches: with `ceil` it may go beyond the padding.
    const int dim = static_cast<int>(d) + 1;
    const int64_t reach =
        (op.result().size(dim) - 1) * stride[d] + dilation[d] * (kernel[d] - 1) + 1;
    pads[kernel.size() + d] = std::max<int64_t>(reach - op.shape(0)[dim] - pads[d], 0);
  }
  op.out(on_channels_first(
      op, "MaxPool", {},
      {{"kernel_shape", kernel}, {"strides", stride}, {"pads", pads}, {"dilations", dilation}}));
}

void batch_norm(Op& op) {
  const auto given = [&](size_t i, double value) {
    return op.has(i) ? op.in(i)
                     : op.graph().constant(Tensor::full(op.shape(1), value, op.tensor(0).dtype()));
  };
  const Names others{given(3, 1.0), given(4, 0.0), op.in(1), op.in(2)};
  const NodeAttributes eps{{"epsilon", op.number("eps")}};
  if (op.shape(0).rank() > 2) {
    return op.out(on_channels_first(op, "BatchNormalization", others, eps));
  }
  Names inputs{op.in(0)};
  inputs.insert(inputs.end(), others.begin(), others.end());
  op.out(op.node("BatchNormalization", inputs, eps));
}

}  // namespace

Emitters product_emitters() {
  return {
      {"linear", linear},
      {"matmul", [](Op& op) { op.out(op.node("MatMul", {op.in(0), op.in(1)})); }},
      {"conv", conv},
      {"conv_transpose", conv_transpose},
      {"max_pool", max_pool},
      {"batch_norm_with", batch_norm},
  };
}

}  // namespace heed::recipes::onnx
