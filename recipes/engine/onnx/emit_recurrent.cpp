#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

/// Rows of gates [G H, ...] in the order of ONNX, as [1, G H, ...].
std::string in_order(Op& op, const std::string& x, const std::vector<size_t>& order) {
  const Names gates =
      op.graph().nodes("Split", {x}, static_cast<int>(order.size()),
                       {{"axis", int64_t{0}}, {"num_outputs", static_cast<int64_t>(order.size())}});
  Names sorted;
  for (const size_t gate : order) sorted.push_back(gates[gate]);
  const std::string all = op.node("Concat", sorted, {{"axis", int64_t{0}}});
  return op.node("Unsqueeze", {all, op.graph().integers({0})});
}

/// Inputs x, weight_ih, weight_hh, bias_ih, bias_hh, h0, c0, lengths; results in the order of
/// heed's, [B, N, H] and [B, H].
void recurrent(Op& op, const char* type, const std::vector<size_t>& order,
               NodeAttributes attributes) {
  if (!op.integers("lengths").empty()) op.refuse("its lengths are numbers of this one batch");
  const int64_t hidden = op.shape(2)[1];
  std::string biases;
  if (op.has(3) || op.has(4)) {
    const auto bias = [&](size_t i) {
      return in_order(
          op, op.has(i) ? op.in(i) : op.graph().constant(Tensor::zeros({op.shape(2)[0]})), order);
    };
    biases = op.node("Concat", {bias(3), bias(4)}, {{"axis", int64_t{1}}});
  }
  const auto state = [&](size_t i) {
    return op.has(i) ? op.node("Unsqueeze", {op.in(i), op.graph().integers({0})}) : "";
  };
  const std::string lengths = op.has(7) ? op.node("Cast", {op.in(7)}, {{"to", int64_t{6}}}) : "";
  attributes.emplace_back("hidden_size", hidden);
  attributes.emplace_back("direction",
                          std::string(op.integer("reverse") != 0 ? "reverse" : "forward"));
  Names inputs{op.transpose(op.in(0), {1, 0, 2}),
               in_order(op, op.in(1), order),
               in_order(op, op.in(2), order),
               biases,
               lengths,
               state(5)};
  if (op.outputs() > 2) inputs.push_back(state(6));
  const Names y = op.graph().nodes(type, inputs, static_cast<int>(op.outputs()), attributes);
  const std::string out = op.node("Squeeze", {y[0], op.graph().integers({1})});  // [N, B, H]
  op.out(0, op.transpose(out, {1, 0, 2}));
  for (size_t i = 1; i < y.size(); ++i) {
    if (op.wanted(i)) op.out(i, op.node("Squeeze", {y[i], op.graph().integers({0})}));
  }
}

/// S_t = e^(g_t) S_{t-1} + k_t v_t^T, o_t = q_t^T S_t, token by token.
void linear_attention(Op& op) {
  const Shape &k = op.shape(1), &v = op.shape(2);
  const int64_t batch = k[0], heads = k[1], width = k[3], values = v[3];
  const DType dtype = op.tensor(0).dtype();
  Graph& outer = op.graph();
  const auto body = std::make_shared<Graph>(outer.fresh("Scan"));
  const auto input = [&](const char* stem, const Shape& shape) {
    const std::string name = body->fresh(stem);
    body->input(name, dtype, shape);
    return name;
  };
  const std::string before = input("state", {batch, heads, width, values});
  const std::string q = input("q", {batch, heads, width}), key = input("k", {batch, heads, width});
  const std::string value = input("v", {batch, heads, values});
  const std::string column = outer.integers({3}), row = outer.integers({2});
  std::string kept = before;
  Names scanned{op.in(0), op.in(1), op.in(2)};
  if (op.has(3)) {
    const Shape& g = op.shape(3);
    const bool channels = g.rank() == 4;
    const std::string decay =
        input("decay", channels ? Shape{batch, heads, width} : Shape{batch, heads});
    const std::string factor = body->node("Exp", {decay});
    kept = body->node(
        "Mul",
        {before, body->node("Unsqueeze", {factor, channels ? column : outer.integers({2, 3})})});
    scanned.push_back(op.in(3));
  }
  const std::string outer_product = body->node(
      "Mul", {body->node("Unsqueeze", {key, column}), body->node("Unsqueeze", {value, row})});
  const std::string after = body->node("Add", {kept, outer_product});
  const std::string out = body->node(
      "Squeeze", {body->node("MatMul", {body->node("Unsqueeze", {q, row}), after}), row});
  body->output(after, body->fresh("state"), dtype, {batch, heads, width, values});
  body->output(out, body->fresh("out"), dtype, {batch, heads, values});

  const std::string start =
      op.has(4) ? op.in(4) : outer.constant(Tensor::zeros({batch, heads, width, values}, dtype));
  Names inputs{start};
  inputs.insert(inputs.end(), scanned.begin(), scanned.end());
  const std::vector<int64_t> axes(scanned.size(), 2);
  const Names y = outer.nodes("Scan", inputs, 2,
                              {{"body", std::shared_ptr<const Graph>(body)},
                               {"num_scan_inputs", std::ssize(scanned)},
                               {"scan_input_axes", axes},
                               {"scan_output_axes", std::vector<int64_t>{2}}});
  op.out(0, y[1]);
  if (op.wanted(1)) op.out(1, y[0]);
}

}  // namespace

Emitters recurrent_emitters() {
  return {
      {"gru",  // r, z, n here; z, r, h there, the bias within the product with r
       [](Op& op) {
         recurrent(op, "GRU", {1, 0, 2}, {{"linear_before_reset", int64_t{1}}});
       }},
      {"lstm",  // i, f, g, o here; i, o, f, c there
       [](Op& op) {
         recurrent(op, "LSTM", {0, 3, 1, 2}, {});
       }},
      {"linear_attention", linear_attention},
  };
}

}  // namespace heed::recipes::onnx
