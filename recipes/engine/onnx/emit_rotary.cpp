// Rotary positions: pairs of features turned by an angle.
#include <cmath>

#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

/// x [.., D] with its first features turned by cos and sin, which broadcast to [.., d / 2].
std::string turned(Op& op, const std::string& x, int64_t head_dim, int64_t pairs,
                   const std::string& cos, const std::string& sin, const std::vector<int64_t>& rows,
                   bool interleaved) {
  const std::string own = 2 * pairs < head_dim ? op.slice(x, 3, 0, 2 * pairs) : x;
  std::string a, b;
  if (interleaved) {
    a = op.slice(own, 3, 0, 2 * pairs, 2);
    b = op.slice(own, 3, 1, 2 * pairs, 2);
  } else {
    a = op.slice(own, 3, 0, pairs);
    b = op.slice(own, 3, pairs, 2 * pairs);
  }
  std::string first = op.node("Sub", {op.mul(a, cos), op.mul(b, sin)});
  std::string second = op.add(op.mul(b, cos), op.mul(a, sin));
  std::string y;
  if (interleaved) {
    const std::string last = op.graph().integers({4});
    y = op.node("Concat",
                {op.node("Unsqueeze", {first, last}), op.node("Unsqueeze", {second, last})},
                {{"axis", int64_t{4}}});
    std::vector<int64_t> shape = rows;
    shape.push_back(2 * pairs);
    y = op.reshape(y, shape);
  } else {
    y = op.node("Concat", {first, second}, {{"axis", int64_t{3}}});
  }
  if (2 * pairs == head_dim) return y;
  return op.node("Concat", {y, op.slice(x, 3, 2 * pairs, head_dim)}, {{"axis", int64_t{3}}});
}

/// Cosines and sines, which broadcast to [B, H, N, d / 2], or to [B, N, H, d / 2] where the heads
/// stand behind the tokens. Inputs behind x: both as tables [N, d / 2] or [B, N, d / 2], or
/// positions [N] or [B, N] and the angle of a step, f64 [d / 2].
struct Angles {
  std::string cos, sin;
  int64_t pairs;

  Angles(Op& op, bool behind_tokens) {
    const bool table = op.has(1);
    Shape shape = op.shape(table ? 1 : 3);
    if (!table) shape.push_back(op.shape(4)[0]);
    pairs = shape[-1];
    const int64_t batch = shape.rank() == 3 ? shape[0] : 1, tokens = shape[-2];
    const auto by_heads = [&](const std::string& x) {
      return behind_tokens ? op.reshape(x, {batch, tokens, 1, pairs})
                           : op.reshape(x, {batch, 1, tokens, pairs});
    };
    if (table) {
      cos = by_heads(op.in(1));
      sin = by_heads(op.in(2));
      return;
    }
    // Angles in f32 would be off by whole turns; onnxruntime has no cosine in f64.
    const auto cast = [&](const std::string& x, int64_t to) {
      return op.node("Cast", {x}, {{"to", to}});
    };
    constexpr int64_t kFloat = 1, kDouble = 11;
    const std::string steps = cast(op.in(3), kDouble);
    const std::string each = op.node("Unsqueeze", {steps, op.graph().integers({-1})});
    const std::string angle = op.mul(each, op.in(4));
    const std::string quarter = op.graph().constant(Tensor::full({}, M_PI / 2, DType::f64));
    cos = by_heads(cast(op.node("Sin", {op.add(angle, quarter)}), kFloat));
    sin = by_heads(cast(op.node("Sin", {angle}), kFloat));
  }
};

void rotary(Op& op) {
  const Shape& x = op.shape(0);
  const Angles by(op, false);
  op.out(turned(op, op.in(0), x[3], by.pairs, by.cos, by.sin, {x[0], x[1], x[2]},
                op.integer("interleaved") != 0));
}

void rotary_qkv(Op& op) {
  const int64_t heads = op.integer("heads"), kv_heads = op.integer("kv_heads");
  const int64_t batch = op.shape(0)[0], tokens = op.shape(0)[1], slots = heads + 2 * kv_heads;
  const int64_t head_dim = op.shape(0)[2] / slots, rotated = heads + kv_heads;
  const std::string x = op.reshape(op.in(0), {batch, tokens, slots, head_dim});
  const Angles by(op, true);
  const std::string y = turned(op, op.slice(x, 2, 0, rotated), head_dim, by.pairs, by.cos, by.sin,
                               {batch, tokens, rotated}, op.integer("interleaved") != 0);
  const std::string whole =
      op.node("Concat", {y, op.slice(x, 2, rotated, slots)}, {{"axis", int64_t{2}}});
  op.out(op.reshape(whole, op.shape(0).vector()));
}

}  // namespace

Emitters rotary_emitters() { return {{"rotary", rotary}, {"rotary_qkv", rotary_qkv}}; }

}  // namespace heed::recipes::onnx
