#include <cmath>

#include "kernels/elementwise/binary.h"
#include "kernels/matmul/activation.h"
#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

/// An op that ONNX has under a name of its own.
Emitter same(const char* onnx) {
  return [onnx](Op& op) { op.out(op.node(onnx, op.all_in())); };
}

/// The dtype in which two operands meet: the result's, and of a comparison the wider one.
DType meeting(Op& op) {
  const DType result = op.result().dtype();
  if (is_floating(result) || op.inputs() < 2 || !is_floating(op.tensor(0).dtype())) {
    return is_floating(result) ? result : op.tensor(0).dtype();
  }
  return kernels::promote(op.tensor(0), op.tensor(1), op.name().c_str());
}

/// The second operand: a tensor, or a number in its place.
std::string second(Op& op) {
  return op.has_attribute("number") ? op.scalar(op.number("number")) : op.in_as(1, meeting(op));
}

/// An op of two operands that meet in one dtype.
Emitter binary(const char* onnx) {
  return [onnx](Op& op) { op.out(op.node(onnx, {op.in_as(0, meeting(op)), second(op)})); };
}

Emitter activation(Activation kind) {
  return [kind](Op& op) { op.out(op.activated(op.in(0), static_cast<int64_t>(kind))); };
}

/// A mask as ONNX wants it.
std::string condition(Op& op, size_t i) {
  return op.tensor(i).dtype() == DType::boolean ? op.in(i) : op.cast(op.in(i), DType::boolean);
}

// e^x - 1 = tanh(x / 2) (e^x + 1), which keeps its digits near 0.
void expm1(Op& op) {
  const std::string x = op.in(0), half = op.node("Tanh", {op.mul(x, op.scalar(0.5))});
  op.out(op.mul(half, op.add(op.node("Exp", {x}), op.scalar(1.0))));
}

// With u = 1 + x rounded, log(u) x / (u - 1) keeps its digits (Kahan): x where u is 1, and log(u)
// where u - 1 is x, which may be infinite.
void log1p(Op& op) {
  const std::string x = op.in(0), one = op.scalar(1.0), u = op.add(x, one);
  const std::string rounded = op.node("Sub", {u, one});
  const std::string none = op.node("Equal", {u, one}), exact = op.node("Equal", {rounded, x});
  const std::string safe = op.node("Where", {none, one, rounded});
  const std::string ratio = op.node("Where", {exact, one, op.node("Div", {x, safe})});
  op.out(op.node("Where", {none, x, op.mul(op.node("Log", {u}), ratio)}));
}

void clamp(Op& op) {
  const auto bound = [&](double value) { return std::isinf(value) ? "" : op.scalar(value); };
  op.out(op.node("Clip", {op.in(0), bound(op.number("a")), bound(op.number("b"))}));
}

void softplus(Op& op) {
  const std::string beta = op.scalar(op.number("a")), x = op.in(0), scaled = op.mul(x, beta);
  const std::string y = op.node("Div", {op.node("Softplus", {scaled}), beta});
  op.out(op.node("Where", {op.node("Greater", {scaled, op.scalar(op.number("b"))}), x, y}));
}

void swiglu(Op& op) {
  op.out(op.mul(op.activated(op.in(0), static_cast<int64_t>(Activation::silu)), op.in(1)));
}

void swiglu_packed(Op& op) {
  const Names halves = op.graph().nodes("Split", {op.in(0)}, 2,
                                        {{"axis", int64_t{-1}}, {"num_outputs", int64_t{2}}});
  op.out(op.mul(op.activated(halves[0], static_cast<int64_t>(Activation::silu)), halves[1]));
}

}  // namespace

Emitters elementwise_emitters() {
  const auto one_over = [](Op& op) {
    op.out(op.node("Reciprocal", {op.node("Sqrt", {op.in(0)})}));
  };
  const auto as_result = [](Op& op) { op.out(op.cast(op.in(0), op.result().dtype())); };
  const auto with = [](const char* onnx, const char* name) {
    return [onnx, name](Op& op) { op.out(op.node(onnx, {op.in(0)}, {{name, op.number("a")}})); };
  };
  return {
      {"add", binary("Add")},
      {"sub", binary("Sub")},
      {"mul", binary("Mul")},
      {"div", binary("Div")},
      {"neg", same("Neg")},
      {"exp", same("Exp")},
      {"log", same("Log")},
      {"sqrt", same("Sqrt")},
      {"rsqrt", one_over},
      {"square", [](Op& op) { op.out(op.mul(op.in(0), op.in(0))); }},
      {"tanh", same("Tanh")},
      {"sigmoid", same("Sigmoid")},
      {"relu", same("Relu")},
      {"silu", activation(Activation::silu)},
      {"gelu", activation(Activation::gelu)},
      {"gelu_tanh", activation(Activation::gelu_tanh)},
      {"abs", same("Abs")},
      {"sign", same("Sign")},
      {"sin", same("Sin")},
      {"cos", same("Cos")},
      {"expm1", expm1},
      {"log1p", log1p},
      {"erf", same("Erf")},
      {"relu6",
       [](Op& op) {
         op.out(op.node("Clip", {op.in(0), op.scalar(0.0), op.scalar(6.0)}));
       }},
      {"hard_sigmoid",
       [](Op& op) {
         op.out(op.node("HardSigmoid", {op.in(0)}, {{"alpha", 1.0 / 6}, {"beta", 0.5}}));
       }},
      {"hard_swish", same("HardSwish")},
      {"pow",
       [](Op& op) {
         const std::string power =
             op.has(1) ? op.in_as(1, op.result().dtype()) : op.scalar(op.number("a"));
         op.out(op.node("Pow", {op.in_as(0, op.result().dtype()), power}));
       }},
      {"leaky_relu", with("LeakyRelu", "alpha")},
      {"elu", with("Elu", "alpha")},
      {"softplus", softplus},
      {"clamp", clamp},
      {"maximum", binary("Max")},
      {"minimum", binary("Min")},
      {"swiglu", swiglu},
      {"swiglu_packed", swiglu_packed},
      {"cast", as_result},
      {"to", [](Op& op) { op.out(op.in(0)); }},
      {"straight_through", [](Op& op) { op.out(op.in(0)); }},
      {"eq", binary("Equal")},
      {"ne",
       [](Op& op) {
         op.out(op.node("Not", {op.node("Equal", {op.in_as(0, meeting(op)), second(op)})}));
       }},
      {"lt", binary("Less")},
      {"le", binary("LessOrEqual")},
      {"gt", binary("Greater")},
      {"ge", binary("GreaterOrEqual")},
      {"logical_not", same("Not")},
      {"logical_and", same("And")},
      {"logical_or", same("Or")},
      {"where",
       [](Op& op) {
         const DType dtype = op.result().dtype();
         op.out(op.node("Where", {condition(op, 0), op.in_as(1, dtype), op.in_as(2, dtype)}));
       }},
      {"masked_fill",
       [](Op& op) {
         op.out(op.node("Where", {condition(op, 1), op.scalar(op.number("value")), op.in(0)}));
       }},
  };
}

}  // namespace heed::recipes::onnx
