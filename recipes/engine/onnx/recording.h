// What a listener heard of one forward pass: a graph of ops over values.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "autograd/trace.h"
#include "kernels/attention/attention.h"

namespace heed::recipes::onnx {

enum class ValueKind { input, parameter, constant, result };

struct Value {
  Tensor tensor;
  ValueKind kind;
  std::string name = {};  ///< of an input or parameter
  bool varies = false;    ///< depends on an input
  int step = -1;          ///< what made it
  uint64_t version = 0;   ///< of its memory, when it was made
};

struct Step {
  trace::Operation what;
  std::vector<int> inputs;   ///< values; -1 where one is absent
  std::vector<int> outputs;  ///< values
  std::string near;          ///< the trained tensor last used: where in the model this is
};

/// A limit of a pattern, by the rule of the limited one.
struct Limit {
  AttentionPattern whole, limited;
  int queries = -1, keys = -1;  ///< values
};

class Recording : public trace::Listener {
 public:
  void input(const std::string& name, const Tensor& tensor);
  void parameter(const std::string& name, const Tensor& tensor);

  void heard(trace::Operation operation) override;
  void limited(trace::LimitedPattern pattern) override;
  bool follows(const Tensor& tensor) const override;

  /// The value that a tensor holds, or -1.
  int find(const Tensor& tensor) const;
  const Value& value(int id) const { return values_[static_cast<size_t>(id)]; }
  const std::vector<Value>& values() const { return values_; }
  const std::vector<Step>& steps() const { return steps_; }
  /// The limit of a pattern, or nullptr.
  const Limit* limit_of(const AttentionPattern& pattern) const;
  /// "'matmul' (behind blocks.0.attn.qkv.weight)".
  std::string place(int step) const;

 private:
  using Key = std::tuple<const void*, int64_t, DType, std::vector<int64_t>, std::vector<int64_t>>;
  static Key key_of(const Tensor& tensor);
  int add(Value value);
  int used(const Tensor& tensor, const std::string& op);

  std::vector<Value> values_;
  std::vector<Step> steps_;
  std::map<Key, int> known_;
  std::map<const void*, int> varying_memory_;  // storage of a value that depends on an input
  std::map<const PatternRule*, Limit> limits_;
  std::string near_;
};

/// The values and steps that the wanted values come from.
struct Origins {
  std::set<int> values, steps;
};
Origins origins_of(const Recording& recording, const std::vector<int>& wanted);

/// How two recordings of the same model on other inputs differ in what the wanted values come from:
/// "" where that is the same graph with the same constants.
std::string difference(const Recording& a, const Recording& b, const std::vector<int>& wanted);

}  // namespace heed::recipes::onnx
