#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

/// y weight + bias, where they are; inputs `weight` and the one behind it.
std::string affine(Op& op, std::string y, size_t weight) {
  if (op.has(weight)) y = op.mul(y, op.in(weight));
  return op.has(weight + 1) ? op.add(y, op.in(weight + 1)) : y;
}

std::string layer_norm(Op& op, const std::string& x, size_t weight) {
  if (!op.has(weight)) return affine(op, op.standardised(x, {-1}, op.number("eps")), weight);
  return op.node("LayerNormalization", {x, op.in(weight), op.in(weight + 1)},
                 {{"axis", int64_t{-1}}, {"epsilon", op.number("eps")}});
}

std::string rms_norm(Op& op, const std::string& x, size_t weight) {
  const std::string mean = op.reduce("ReduceMean", op.mul(x, x), {-1}, true);
  const std::string root = op.node("Sqrt", {op.add(mean, op.scalar(op.number("eps")))});
  return affine(op, op.node("Div", {x, root}), weight);
}

using NormOf = std::string (*)(Op&, const std::string&, size_t);

Emitter norm(NormOf form) {
  return [form](Op& op) { op.out(form(op, op.in(0), 1)); };
}

/// The sum of a residual stream and a term, and its norm.
Emitter norm_of_sum(NormOf form) {
  return [form](Op& op) {
    const std::string sum = op.add(op.in(0), op.in(1));
    op.out(0, sum);
    op.out(1, form(op, sum, 2));
  };
}

void group_norm(Op& op) {
  const int64_t batch = op.shape(0)[0], channels = op.shape(0)[-1], groups = op.integer("groups");
  const std::string x = op.reshape(op.in(0), {batch, -1, groups, channels / groups});
  const std::string y = op.standardised(x, {1, 3}, op.number("eps"));
  op.out(affine(op, op.reshape(y, op.shape(0).vector()), 1));
}

void l2_normalize(Op& op) {
  const std::string length = op.reduce("ReduceL2", op.in(0), {op.integer("dim")}, true);
  op.out(op.node("Div", {op.in(0), op.node("Max", {length, op.scalar(op.number("eps"))})}));
}

}  // namespace

Emitters norm_emitters() {
  return {
      {"layer_norm", norm(layer_norm)},
      {"rms_norm", norm(rms_norm)},
      {"add_layer_norm", norm_of_sum(layer_norm)},
      {"add_rms_norm", norm_of_sum(rms_norm)},
      {"group_norm", group_norm},
      {"instance_norm", group_norm},
      {"l2_normalize", l2_normalize},
  };
}

}  // namespace heed::recipes::onnx
