// From recorded ops to ONNX nodes: one function an op.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "recipes/engine/onnx/graph.h"
#include "recipes/engine/onnx/recording.h"

namespace heed::recipes::onnx {

class Emission;

/// One op that is written: its inputs' names and what is known of it.
class Op {
 public:
  Op(Emission& emission, const Step& step);

  Graph& graph() const;
  const std::string& name() const { return step_.what.name; }

  bool has(size_t i) const { return i < step_.inputs.size() && step_.inputs[i] >= 0; }
  size_t inputs() const { return step_.inputs.size(); }
  /// Name of input i, "" where it is absent.
  std::string in(size_t i) const;
  Names all_in() const;
  /// The same in another dtype, by a cast where it is written in another one.
  std::string in_as(size_t i, DType dtype) const;
  std::string cast(const std::string& x, DType dtype) const;
  const Tensor& tensor(size_t i) const { return step_.what.inputs[i]; }
  const Shape& shape(size_t i) const { return tensor(i).shape(); }
  /// Whether input i is the same for all inputs of the graph, and so its tensor's values hold.
  bool constant(size_t i) const;

  size_t outputs() const { return step_.outputs.size(); }
  const Tensor& result(size_t i = 0) const { return step_.what.outputs[i]; }
  /// Whether anybody reads output i.
  bool wanted(size_t i) const;
  void out(size_t i, const std::string& name);
  void out(const std::string& name) { out(0, name); }

  bool has_attribute(const char* name) const { return step_.what.attributes.contains(name); }
  int64_t integer(const char* name) const { return attribute(name).integer(); }
  double number(const char* name) const { return attribute(name).number(); }
  const std::vector<int64_t>& integers(const char* name) const {
    return attribute(name).integers();
  }
  const AttentionSpec& attention() const { return *step_.what.attention; }
  /// The limit of the attention's pattern, or nullptr, and the name of one of its values.
  const Limit* limit() const;
  std::string value(int id) const;

  // Nodes that many ops are made of.
  std::string node(const std::string& op, const Names& inputs,
                   const NodeAttributes& attributes = {}) const {
    return graph().node(op, inputs, attributes);
  }
  std::string add(const std::string& a, const std::string& b) const { return node("Add", {a, b}); }
  std::string mul(const std::string& a, const std::string& b) const { return node("Mul", {a, b}); }
  /// A number of the dtype of input 0.
  std::string scalar(double value) const;
  std::string reshape(const std::string& x, const std::vector<int64_t>& shape) const;
  std::string transpose(const std::string& x, const std::vector<int64_t>& order) const;
  std::string slice(const std::string& x, int64_t dim, int64_t begin, int64_t end,
                    int64_t step = 1) const;
  std::string reduce(const std::string& op, const std::string& x, const std::vector<int64_t>& dims,
                     bool keepdims) const;
  /// x / sqrt(mean((x - mean)^2) + eps) over the dims, which are kept.
  std::string standardised(const std::string& x, const std::vector<int64_t>& dims,
                           double eps) const;
  /// x activation(x), by heed's number of it.
  std::string activated(const std::string& x, int64_t activation) const;
  std::string gelu(const std::string& x) const;

  [[noreturn]] void refuse(const std::string& why) const;

 private:
  const trace::Attribute& attribute(const char* name) const;

  Emission& emission_;
  const Step& step_;
};

using Emitter = std::function<void(Op&)>;
using Emitters = std::map<std::string, Emitter>;

/// Every op that has a form in ONNX, by the name that it reports.
const Emitters& emitters();
/// Ops without one, and why: "because ...".
const std::map<std::string, std::string>& without_form();

// The table's parts.
Emitters elementwise_emitters();
Emitters layout_emitters();
Emitters index_emitters();
Emitters product_emitters();
Emitters reduce_emitters();
Emitters norm_emitters();
Emitters attention_emitters();
Emitters rotary_emitters();
Emitters recurrent_emitters();
Emitters length_emitters();
Emitters fourier_emitters();
Emitters solve_emitters();

/// Writes the part of a recording that the wanted values depend on into a graph.
class Emission {
 public:
  Emission(Graph& graph, const Recording& recording, const std::vector<int>& wanted);

  /// The name of a value; an Error before it was written.
  std::string name_of(int value);

 private:
  friend class Op;
  bool written(int value) const;

  Graph& graph_;
  const Recording& recording_;
  std::map<int, std::string> names_;
  std::set<int> needed_;
};

}  // namespace heed::recipes::onnx
