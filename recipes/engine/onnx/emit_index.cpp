#include <set>

#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

std::string zeros(Op& op, const Shape& shape, DType dtype) {
  return op.graph().constant(Tensor::zeros(shape, dtype));
}

std::string ones(Op& op, const Shape& shape, DType dtype) {
  return op.graph().constant(Tensor::full(shape, 1.0, dtype));
}

std::string scattered(Op& op, const std::string& onto, const std::string& index,
                      const std::string& source, int64_t dim) {
  return op.node("ScatterElements", {onto, index, source},
                 {{"axis", dim}, {"reduction", std::string("add")}});
}

/// sum / (count + eps), 0 where nothing came.
std::string mean_of(Op& op, const std::string& sum, const std::string& count, double eps) {
  const std::string none = op.node("Equal", {count, op.scalar(0.0)});
  const std::string share = op.node("Div", {sum, op.add(count, op.scalar(eps))});
  return op.node("Where", {none, op.scalar(0.0), share});
}

void embedding(Op& op) {
  const std::string rows = op.node("Gather", {op.in(0), op.in(1)}, {{"axis", int64_t{0}}});
  const DType own = written_dtype(op.tensor(0).dtype()), dtype = op.result().dtype();
  op.out(own == written_dtype(dtype) ? rows : op.cast(rows, dtype));
}

void index_select(Op& op) {
  op.out(op.node("Gather", {op.in(0), op.in(1)}, {{"axis", op.integer("dim")}}));
}

void gather(Op& op) {
  op.out(op.node("GatherElements", {op.in(0), op.in(1)}, {{"axis", op.integer("dim")}}));
}

void scatter_add(Op& op) { op.out(scattered(op, op.in(0), op.in(1), op.in(2), op.integer("dim"))); }

void scatter_mean(Op& op) {
  const int64_t dim = op.integer("dim");
  const Shape& shape = op.result().shape();
  const DType dtype = op.tensor(0).dtype();
  const std::string none = zeros(op, shape, dtype);
  const std::string sum = scattered(op, none, op.in(1), op.in(0), dim);
  const std::string count = scattered(op, none, op.in(1), ones(op, op.shape(1), dtype), dim);
  op.out(mean_of(op, sum, count, op.number("eps")));
}

void index_put(Op& op) {
  const int rank = op.shape(0).rank();
  const int64_t dim = op.integer("dim") < 0 ? op.integer("dim") + rank : op.integer("dim");
  const bool accumulate = op.integer("accumulate") != 0;
  if (dim != 0) op.refuse("rows that are put along a dimension other than the first are not");
  if (!accumulate) {
    // ONNX leaves open which of equal indices wins; heed's last one does.
    if (!op.constant(1)) op.refuse("which of equal indices wins is left open there");
    const std::vector<int64_t> index = op.tensor(1).to_vector<int64_t>();
    if (std::set<int64_t>(index.begin(), index.end()).size() != index.size())
      op.refuse("which of equal indices wins is left open there");
  }
  std::vector<int64_t> shape = op.shape(1).vector();
  shape.push_back(1);
  op.out(op.node("ScatterND", {op.in(0), op.reshape(op.in(1), shape), op.in(2)},
                 {{"reduction", std::string(accumulate ? "add" : "none")}}));
}

void masked_put_rows(Op& op) {
  const std::string mask = op.tensor(1).dtype() == DType::boolean
                               ? op.in(1)
                               : op.node("Cast", {op.in(1)}, {{"to", int64_t{9}}});
  const std::string places = op.transpose(op.node("NonZero", {mask}), {1, 0});
  op.out(op.node("ScatterND", {op.in(0), places, op.in(2)}));
}

void one_hot(Op& op) {
  std::vector<int64_t> classes;
  for (int64_t c = 0; c < op.integer("classes"); ++c) classes.push_back(c);
  const std::string each = op.graph().constant(Tensor::from(classes, {1, std::ssize(classes)}));
  std::vector<int64_t> shape = op.shape(0).vector();
  shape.push_back(1);
  const std::string wide = op.node("Cast", {op.in(0)}, {{"to", int64_t{7}}});
  const std::string hit = op.node("Equal", {op.reshape(wide, shape), each});
  op.out(op.node("Cast", {hit}, {{"to", int64_t{op.result().dtype() == DType::f64 ? 11 : 1}}}));
}

/// Rows of x added up, or their largest, by id.
std::string by_id(Op& op, const std::string& onto, const std::string& x, const char* reduction) {
  return op.node("ScatterND", {onto, op.reshape(op.in(1), {-1, 1}), x},
                 {{"reduction", std::string(reduction)}});
}

Shape counts_shape(Op& op) {
  Shape shape = op.result().shape();
  for (int d = 1; d < shape.rank(); ++d) shape[d] = 1;
  return shape;
}

std::string counts(Op& op) {
  Shape rows = op.shape(0), shape = counts_shape(op);
  for (int d = 1; d < rows.rank(); ++d) rows[d] = 1;
  const DType dtype = op.tensor(0).dtype();
  return by_id(op, zeros(op, shape, dtype), ones(op, rows, dtype), "add");
}

void segment_sum(Op& op) {
  op.out(by_id(op, zeros(op, op.result().shape(), op.tensor(0).dtype()), op.in(0), "add"));
}

void segment_mean(Op& op) {
  const std::string sum =
      by_id(op, zeros(op, op.result().shape(), op.tensor(0).dtype()), op.in(0), "add");
  op.out(mean_of(op, sum, counts(op), 0.0));
}

/// The largest of each segment; `least` where there is none.
std::string largest(Op& op, const Shape& shape) {
  const std::string lowest = op.graph().constant(
      Tensor::full(shape, -std::numeric_limits<double>::infinity(), op.tensor(0).dtype()));
  return by_id(op, lowest, op.in(0), "max");
}

void segment_max(Op& op) {
  const std::string none = op.node("Equal", {counts(op), op.scalar(0.0)});
  op.out(op.node("Where", {none, op.scalar(op.number("empty")), largest(op, op.result().shape())}));
}

void segment_softmax(Op& op) {
  Shape shape = op.shape(0);
  shape[0] = op.integer("segments");
  const auto spread = [&](const std::string& rows) {
    return op.node("Gather", {rows, op.in(1)}, {{"axis", int64_t{0}}});
  };
  const std::string e = op.node("Exp", {op.node("Sub", {op.in(0), spread(largest(op, shape))})});
  const std::string sum = by_id(op, zeros(op, shape, op.tensor(0).dtype()), e, "add");
  op.out(op.node("Div", {e, spread(sum)}));
}

void sorted(Op& op) {
  const int64_t dim = op.integer("dim");
  const int64_t count = op.result().size(static_cast<int>(dim));
  const Names found = op.graph().nodes(
      "TopK", {op.in(0), op.graph().integers({count})}, 2,
      {{"axis", dim}, {"largest", op.integer("descending")}, {"sorted", int64_t{1}}});
  if (op.name() == "argsort") return op.out(found[1]);
  op.out(0, found[0]);
  op.out(1, found[1]);
}

}  // namespace

Emitters index_emitters() {
  return {
      {"embedding", embedding},
      {"index_select", index_select},
      {"gather", gather},
      {"scatter_add", scatter_add},
      {"scatter_mean", scatter_mean},
      {"index_put", index_put},
      {"masked_put_rows", masked_put_rows},
      {"one_hot", one_hot},
      {"segment_sum", segment_sum},
      {"segment_mean", segment_mean},
      {"segment_max", segment_max},
      {"segment_softmax", segment_softmax},
      {"topk", sorted},
      {"sort", sorted},
      {"argsort", sorted},
  };
}

}  // namespace heed::recipes::onnx
