// A listener to the ops of a forward pass, from which a graph of it can be made (an ONNX file).
//
// Every primitive op reports its name, its tensors and the numbers that its result depends on; ops
// that are made of others report nothing of their own. Without a listener a report costs the test
// of a pointer:
//
//   if (trace::on()) trace::report("softmax", {x}, {y}, {{"dim", dim}});
//
// Tensors are known by their memory: the listener must keep what it was told of, so that no other
// tensor takes the same place.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/tensor.h"

namespace heed {

class AttentionPattern;
struct AttentionSpec;

namespace trace {

/// A number, a text or a list that an op's result depends on.
class Attribute {
 public:
  Attribute(int value) : value_(int64_t{value}) {}
  Attribute(int64_t value) : value_(value) {}
  Attribute(bool value) : value_(int64_t{value}) {}
  Attribute(double value) : value_(value) {}
  Attribute(const char* value) : value_(std::string(value)) {}
  Attribute(std::string value) : value_(std::move(value)) {}
  Attribute(std::vector<int64_t> value) : value_(std::move(value)) {}
  Attribute(const std::vector<int>& value)
      : value_(std::vector<int64_t>(value.begin(), value.end())) {}
  Attribute(const Shape& value) : value_(std::vector<int64_t>(value.begin(), value.end())) {}

  int64_t integer() const { return std::get<int64_t>(value_); }
  double number() const { return std::get<double>(value_); }
  const std::string& text() const { return std::get<std::string>(value_); }
  const std::vector<int64_t>& integers() const { return std::get<std::vector<int64_t>>(value_); }
  bool operator==(const Attribute&) const = default;

 private:
  std::variant<int64_t, double, std::string, std::vector<int64_t>> value_;
};

using Attributes = std::map<std::string, Attribute>;

/// One op. Inputs that are optional and absent are undefined.
struct Operation {
  std::string name;
  std::vector<Tensor> inputs, outputs;
  Attributes attributes = {};
  std::shared_ptr<const AttentionSpec> attention = {};  ///< of the attention ops
};

/// A pattern that holds, in row b, for the first queries[b] queries and keys[b] keys alone; tensors
/// [B] of integers, `queries` undefined where all count.
struct LimitedPattern {
  std::shared_ptr<const AttentionPattern> whole, limited;
  Tensor queries, keys;
};

class Listener {
 public:
  virtual ~Listener() = default;
  virtual void heard(Operation operation) = 0;
  virtual void limited(LimitedPattern pattern) = 0;
  /// Whether a tensor depends on the graph's inputs.
  virtual bool follows(const Tensor& tensor) const = 0;
};

class AsOne;

namespace detail {
extern constinit thread_local Listener* listener;
extern constinit thread_local AsOne* region;  ///< the innermost that is open
}  // namespace detail

/// Whether this thread has a listener.
inline bool on() { return detail::listener != nullptr; }

/// Tells the listener, of which there must be one. `outputs` are complete.
void report(std::string name, std::vector<Tensor> inputs, std::vector<Tensor> outputs,
            Attributes attributes = {}, std::shared_ptr<const AttentionSpec> attention = {});
void report(LimitedPattern pattern);

/// Whether a listener follows the tensor from the graph's inputs: what reads its values on the host
/// must report an op for what it makes of them.
bool follows(const Tensor& tensor);

/// While it lives, this thread's ops are reported to the listener.
class Listening {
 public:
  explicit Listening(Listener& listener);
  ~Listening();
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

 private:
  Listener* previous_;
};

/// Ops from here to report() are parts of the one that it names: for what reads a tensor's values,
/// which no op of its own reports, or has a short form elsewhere. A region within another one is a
/// part of that: only the outermost is heard of. Without report() nothing is, and what follows from
/// the region counts as made by no op.
class AsOne {
 public:
  AsOne();
  ~AsOne();
  AsOne(const AsOne&) = delete;
  AsOne& operator=(const AsOne&) = delete;

  /// Whether report() tells a listener: where it has one, and no region around it.
  bool on() const { return listener_ != nullptr; }
  /// Ends the region; ops report for themselves again. Does nothing more without a listener. A
  /// second report of a region, and one while a region within it is open, are Errors.
  void report(const char* name, std::vector<Tensor> inputs, std::vector<Tensor> outputs,
              Attributes attributes = {});

 private:
  void end();

  Listener* listener_;
  AsOne* around_;  // the region that this one lies in
  bool ended_ = false;
};

}  // namespace trace
}  // namespace heed
