// What heed computes on the host from lengths and ids, as nodes.
#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

constexpr int64_t kInt64 = 7;

std::string as_i64(Op& op, const std::string& x) { return op.node("Cast", {x}, {{"to", kInt64}}); }

std::string integer(Op& op, int64_t value) {
  return op.graph().constant(Tensor::scalar<int64_t>(value));
}

/// 0, 1, ... as i64 of a shape of which one extent is not 1.
std::string counting(Op& op, int64_t count, const Shape& shape) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < count; ++i) all.push_back(i);
  return op.graph().constant(Tensor::from(all, shape));
}

/// bool [B, tokens, 1].
std::string inside(Op& op, size_t lengths, int64_t tokens) {
  return op.node("Less", {counting(op, tokens, {1, tokens, 1}),
                          op.reshape(as_i64(op, op.in(lengths)), {-1, 1, 1})});
}

std::string f32(Op& op, double value) { return op.graph().number(value); }

void by_length(Op& op) {
  op.out(op.node("Where", {inside(op, 0, op.result().size(1)), f32(op, op.number("inside")),
                           f32(op, op.number("behind"))}));
}

/// Sum of x where `mask` [B, N, 1] holds, over the count of these rows (1 at least).
std::string mean_where(Op& op, const std::string& mask) {
  const std::string held = op.node("Where", {mask, op.in(0), op.scalar(0.0)});
  const std::string count =
      op.reduce("ReduceSum", op.node("Where", {mask, op.scalar(1.0), op.scalar(0.0)}), {1}, false);
  return op.node(
      "Div", {op.reduce("ReduceSum", held, {1}, false), op.node("Max", {count, op.scalar(1.0)})});
}

void mean_of_lengths(Op& op) { op.out(mean_where(op, inside(op, 1, op.shape(0)[1]))); }

void masked_mean(Op& op) {
  op.out(mean_where(op, op.reshape(op.in(1), {op.shape(1)[0], op.shape(1)[1], 1})));
}

/// Row places[b] of each x[b].
std::string rows_at(Op& op, const std::string& places) {
  const Shape& x = op.shape(0);
  const std::string index =
      op.node("Expand", {op.reshape(places, {x[0], 1, 1}), op.graph().integers({x[0], 1, x[2]})});
  return op.reshape(op.node("GatherElements", {op.in(0), index}, {{"axis", int64_t{1}}}),
                    {x[0], x[2]});
}

void last_of_lengths(Op& op) {
  const std::string count = op.node("Max", {as_i64(op, op.in(1)), integer(op, 1)});
  op.out(rows_at(op, op.node("Sub", {count, integer(op, 1)})));
}

/// Items in front of each row's padding, which is 0: [B].
std::string items_of(Op& op, size_t items) {
  const std::string held = op.node(
      "Cast", {op.node("Greater", {as_i64(op, op.in(items)), integer(op, 0)})}, {{"to", kInt64}});
  return op.reduce("ReduceSum", held, {1}, false);
}

void rows_of_items(Op& op) {
  const std::string rows = op.node("Sub", {as_i64(op, op.in(0)), integer(op, 1)});
  op.out(op.node("Max", {rows, integer(op, 0)}));
}

void slots_of_items(Op& op) {
  const int64_t places = op.shape(0)[1], context = op.integer("context");
  const std::string first = op.node("Sub", {integer(op, context), items_of(op, 0)});
  const std::string slots = op.node("Add", {op.node("Unsqueeze", {first, op.graph().integers({1})}),
                                            counting(op, places, {1, places})});
  op.out(op.node("Min", {slots, integer(op, context - 1)}));
}

void last_item(Op& op) { op.out(rows_at(op, op.node("Sub", {items_of(op, 1), integer(op, 1)}))); }

/// The targets one place later, behind `start`, which also stands for what is ignored.
void decoder_ids(Op& op) {
  const int64_t batch = op.shape(0)[0], tokens = op.shape(0)[1];
  const std::string start = integer(op, op.integer("start"));
  const std::string first = op.node("Expand", {start, op.graph().integers({batch, 1})});
  const std::string before = op.slice(as_i64(op, op.in(0)), 1, 0, tokens - 1);
  const std::string ids = op.node("Concat", {first, before}, {{"axis", int64_t{1}}});
  const std::string ignored = op.node("Equal", {ids, integer(op, op.integer("ignored"))});
  op.out(op.node("Where", {ignored, start, ids}));
}

}  // namespace

Emitters length_emitters() {
  return {
      {"by_length", by_length},         {"mean_of_lengths", mean_of_lengths},
      {"masked_mean", masked_mean},     {"last_of_lengths", last_of_lengths},
      {"rows_of_items", rows_of_items}, {"slots_of_items", slots_of_items},
      {"last_item", last_item},         {"decoder_ids", decoder_ids},
  };
}

}  // namespace heed::recipes::onnx
