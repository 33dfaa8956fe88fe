#include "recipes/engine/onnx/recording.h"

#include <cstring>

#include "core/error.h"
#include "kernels/copy/copy.h"

namespace heed::recipes::onnx {
namespace {

bool same_values(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  const Tensor x = kernels::contiguous(a.detach()), y = kernels::contiguous(b.detach());
  return std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.bytes())) == 0;
}

bool same_index(const std::shared_ptr<const RelativeIndex>& a,
                const std::shared_ptr<const RelativeIndex>& b) {
  if (a == b) return true;
  return a && b && a->query == b->query && a->key == b->key && a->map == b->map;
}

/// All but the tensors, which are inputs.
bool same_score(const AttentionScore& a, const AttentionScore& b) {
  bool same = a.scale == b.scale && a.alibi == b.alibi && a.alibi_step == b.alibi_step &&
              a.softcap == b.softcap && same_index(a.relative, b.relative);
  for (size_t axis = 0; axis < kRelativeAxes; ++axis) {
    same = same && same_index(a.relative_logits[axis].relative, b.relative_logits[axis].relative);
  }
  return same;
}

bool same_pattern(const Recording& a, const AttentionPattern& pa, const Recording& b,
                  const AttentionPattern& pb) {
  const Limit *la = a.limit_of(pa), *lb = b.limit_of(pb);
  if ((la == nullptr) != (lb == nullptr) || pa.query_offset != pb.query_offset) return false;
  if (la == nullptr) return pa.text() == pb.text();
  return la->queries == lb->queries && la->keys == lb->keys && la->whole.text() == lb->whole.text();
}

}  // namespace

Recording::Key Recording::key_of(const Tensor& t) {
  return {t.storage().get(), t.offset(), t.dtype(), t.shape().vector(), t.strides().vector()};
}

int Recording::add(Value value) {
  const int id = static_cast<int>(values_.size());
  value.version = value.tensor.version();
  if (value.varies) varying_memory_[value.tensor.storage().get()] = id;
  known_[key_of(value.tensor)] = id;
  values_.push_back(std::move(value));
  return id;
}

void Recording::input(const std::string& name, const Tensor& tensor) {
  add({.tensor = tensor.detach(), .kind = ValueKind::input, .name = name, .varies = true});
}

void Recording::parameter(const std::string& name, const Tensor& tensor) {
  if (find(tensor) >= 0) return;  // tied to another one
  add({.tensor = tensor.detach(), .kind = ValueKind::parameter, .name = name});
}

int Recording::find(const Tensor& tensor) const {
  const auto known = known_.find(key_of(tensor));
  return known == known_.end() ? -1 : known->second;
}

bool Recording::follows(const Tensor& tensor) const {
  const int id = tensor.defined() ? find(tensor) : -1;
  return id >= 0 && value(id).varies;
}

const Limit* Recording::limit_of(const AttentionPattern& pattern) const {
  const auto known = limits_.find(pattern.rule().get());
  return known == limits_.end() ? nullptr : &known->second;
}

std::string Recording::place(int step) const {
  const Step& at = steps_[static_cast<size_t>(step)];
  return at.near.empty() ? fmt::format("'{}'", at.what.name)
                         : fmt::format("'{}' (near {})", at.what.name, at.near);
}

int Recording::used(const Tensor& tensor, const std::string& op) {
  if (!tensor.defined()) return -1;
  const int id = find(tensor);
  if (id < 0) {
    const auto part = varying_memory_.find(tensor.storage().get());
    if (part != varying_memory_.end()) {
      fail_request("onnx: '{}'{} reads a part of the result of {} that no op reported", op,
                   near_.empty() ? std::string() : " (near " + near_ + ")",
                   value(part->second).step < 0 ? "input " + value(part->second).name
                                                : place(value(part->second).step));
    }
    return add({.tensor = tensor.detach(), .kind = ValueKind::constant});
  }
  const Value& known = value(id);
  if (known.tensor.version() != known.version) {
    fail_request("onnx: no static graph: '{}'{} reads a tensor that was changed in place", op,
                 near_.empty() ? std::string() : " (near " + near_ + ")");
  }
  if (known.kind == ValueKind::parameter) near_ = known.name;
  return id;
}

void Recording::heard(trace::Operation operation) {
  Step step{std::move(operation), {}, {}, {}};
  bool varies = false;
  for (const Tensor& input : step.what.inputs) {
    step.inputs.push_back(used(input, step.what.name));
    varies = varies || (step.inputs.back() >= 0 && value(step.inputs.back()).varies);
  }
  if (step.what.attention) {
    if (const Limit* limit = limit_of(step.what.attention->pattern)) {
      for (const int id : {limit->queries, limit->keys}) varies |= id >= 0 && value(id).varies;
    }
  }
  const int index = static_cast<int>(steps_.size());
  for (const Tensor& output : step.what.outputs) {
    const int known = find(output);  // of the same memory in the same shape: the same value
    step.outputs.push_back(known >= 0 ? known
                                      : add({.tensor = output.detach(),
                                             .kind = ValueKind::result,
                                             .varies = varies,
                                             .step = index}));
  }
  step.near = near_;
  steps_.push_back(std::move(step));
}

void Recording::limited(trace::LimitedPattern pattern) {
  Limit limit{*pattern.whole, *pattern.limited, used(pattern.queries, "lengths"),
              used(pattern.keys, "lengths")};
  limits_.insert_or_assign(limit.limited.rule().get(), limit);
}

Origins origins_of(const Recording& recording, const std::vector<int>& wanted) {
  Origins origins;
  std::vector<int> open = wanted;
  while (!open.empty()) {
    const int id = open.back();
    open.pop_back();
    if (id < 0 || !origins.values.insert(id).second) continue;
    const int index = recording.value(id).step;
    if (index < 0) continue;
    origins.steps.insert(index);
    const Step& step = recording.steps()[static_cast<size_t>(index)];
    open.insert(open.end(), step.inputs.begin(), step.inputs.end());
    if (!step.what.attention) continue;
    if (const Limit* limit = recording.limit_of(step.what.attention->pattern))
      open.insert(open.end(), {limit->queries, limit->keys});
  }
  return origins;
}

std::string difference(const Recording& a, const Recording& b, const std::vector<int>& wanted) {
  for (const int i : origins_of(a, wanted).steps) {
    const Step& x = a.steps()[static_cast<size_t>(i)];
    const std::string place = a.place(i);
    if (static_cast<size_t>(i) >= b.steps().size())
      return fmt::format("{} depends on the values of the inputs", place);
    const Step& y = b.steps()[static_cast<size_t>(i)];
    if (x.what.name != y.what.name || x.inputs != y.inputs || x.outputs != y.outputs)
      return fmt::format("{} and what follows it depend on the values of the inputs", place);
    for (size_t o = 0; o < x.what.outputs.size(); ++o) {
      if (x.what.outputs[o].shape() != y.what.outputs[o].shape())
        return fmt::format("the shape of {} depends on the values of the inputs", place);
    }
    if (x.what.attributes != y.what.attributes)
      return fmt::format("numbers that {} takes depend on the values of the inputs", place);
    if (x.what.attention &&
        !(same_score(x.what.attention->score, y.what.attention->score) &&
          same_pattern(a, x.what.attention->pattern, b, y.what.attention->pattern)))
      return fmt::format("the pairs of {} depend on the values of the inputs", place);
    for (const int id : x.inputs) {
      if (id < 0 || a.value(id).kind != ValueKind::constant) continue;
      if (!same_values(a.value(id).tensor, b.value(id).tensor)) {
        return fmt::format("a tensor that {} takes is made from the inputs by no op", place);
      }
    }
  }
  return "";
}

}  // namespace heed::recipes::onnx
