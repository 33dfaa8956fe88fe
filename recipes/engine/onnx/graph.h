// A graph of ONNX nodes under construction, and its file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/tensor.h"

namespace heed::onnx_proto {
class Graph;
class Node;
}  // namespace heed::onnx_proto

namespace heed::recipes::onnx {

inline constexpr int64_t kOpset = 18;
inline constexpr int64_t kIrVersion = 8;

class Graph;

/// What a tensor of that dtype is in a file: f32 for the floating ones but f64, else itself.
DType written_dtype(DType dtype);

/// An attribute of a node: an integer, a number, a text, integers or a graph.
using NodeAttribute =
    std::variant<int64_t, double, std::string, std::vector<int64_t>, std::shared_ptr<const Graph>>;
using NodeAttributes = std::vector<std::pair<std::string, NodeAttribute>>;
/// Names of values; an empty one stands for an optional input that is left out.
using Names = std::vector<std::string>;

/// Values are known by their names, of which each is one value's; constants of the same bytes are
/// one.
class Graph {
 public:
  Graph();
  /// The body of a node of another graph, with names of its own: "prefix.1".
  explicit Graph(const std::string& prefix);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Adds a node of type `op` ("MatMul"); returns the name of its result, or of its `count` ones.
  std::string node(const std::string& op, const Names& inputs,
                   const NodeAttributes& attributes = {});
  Names nodes(const std::string& op, const Names& inputs, int count,
              const NodeAttributes& attributes = {});

  /// A constant of a tensor's values, in its written_dtype().
  std::string constant(const Tensor& values);
  std::string integers(const std::vector<int64_t>& values);  ///< i64 [n]
  std::string number(double value);                          ///< f32, without dimensions
  /// A trained tensor under its own name, in its written_dtype(). A RequestError where an input has
  /// that name.
  std::string parameter(const std::string& name, const Tensor& values);

  void input(const std::string& name, DType dtype, const Shape& shape);
  /// Makes `value` a result of the graph, called `name`; a RequestError where a trained tensor or
  /// an input is.
  void output(const std::string& value, const std::string& name, DType dtype, const Shape& shape);
  /// The name of a value that stands for itself elsewhere.
  std::string fresh(const std::string& stem);

  int64_t node_count() const;
  int64_t node_count(const std::string& op) const;
  /// Bytes of all constants and parameters.
  int64_t tensor_bytes() const { return bytes_; }

  /// Writes the model: `path`, and `path`.data with the larger tensors where all of them have more
  /// than `most_bytes` (a protobuf file ends at 2 GB). Both appear whole or not at all; returns
  /// what was written. `about` are the file's metadata.
  std::vector<std::string> write(const std::string& path, int64_t most_bytes,
                                 const std::vector<std::pair<std::string, std::string>>& about);

  const onnx_proto::Graph& proto() const { return *graph_; }

 private:
  struct Held {
    std::string name;
    Tensor values;
  };
  std::string hold(const std::string& name, const Tensor& values);
  /// Takes a name from outside for a value; `what` it is, for the error where another has it.
  void take_name(const std::string& name, const std::string& what);

  std::unique_ptr<onnx_proto::Graph> graph_;
  std::string prefix_;
  int64_t next_ = 0;
  int64_t bytes_ = 0;
  std::vector<Held> tensors_;
  std::map<std::string, std::string> constants_;  // by dtype, shape and bytes (hashed)
  std::map<std::string, std::string> parameters_;
  std::map<std::string, std::pair<int, int>> made_by_;  // node and result
  std::set<std::string> taken_;                         // names
};

}  // namespace heed::recipes::onnx
