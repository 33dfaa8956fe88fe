#include <algorithm>

#include "data/chat/builtins.h"
#include "data/chat/text.h"
#include "data/unicode.h"

namespace heed::data::chat {

namespace {

std::string character_at(const std::string& text, int64_t place) {
  size_t at = 0;
  for (; place > 0; --place) at += static_cast<size_t>(code_point_at(text, at).bytes);
  return text.substr(at, static_cast<size_t>(code_point_at(text, at).bytes));
}

}  // namespace

int64_t length_of(const Value& value) {
  if (value.is_string()) {
    int64_t count = 0;
    for_each_code_point(value.text(), [&](int32_t, std::string_view) { ++count; });
    return count;
  }
  if (value.is_list()) return std::ssize(value.items());
  if (value.is_map()) return std::ssize(value.entries());
  if (value.is_undefined()) return 0;
  fault("a {} has no length", value.kind());
}

Value slice_of(const Value& value, const Value& begin, const Value& end, const Value& step) {
  if (value.is_undefined()) fault("'{}' is undefined", value.undefined_name());
  if (!value.is_string() && !value.is_list()) fault("a {} has no slices", value.kind());
  const Values items = iterate(value);
  const int64_t size = std::ssize(items);
  const int64_t stride = step.is_none() ? 1 : step.integer("a slice's step");
  if (stride == 0) fault("a slice's step is 0");
  const int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? size : size - 1;
  const auto bound = [&](const Value& given, int64_t otherwise) {
    if (given.is_none()) return otherwise;
    const int64_t at = given.integer("a slice's bound");
    return std::clamp(at < 0 ? at + size : at, low, high);
  };
  const int64_t from = bound(begin, stride > 0 ? low : high);
  const int64_t to = bound(end, stride > 0 ? high : low);
  Values kept;
  for (__int128 i = from; stride > 0 ? i < to : i > to; i += stride) {
    kept.push_back(items[static_cast<size_t>(i)]);
  }
  if (value.is_string()) return joined(kept, "");
  return Value::list(std::move(kept), value.is_tuple());
}

Value item_of(const Value& value, const Value& key) {
  if (value.is_undefined()) fault("'{}' is undefined", value.undefined_name());
  if (value.is_map()) {
    const Value* found = value.find(key);
    if (found != nullptr) return *found;
  } else if ((value.is_list() || value.is_string()) && (key.is_integer() || key.is_bool())) {
    const int64_t at = key.integer("an index");
    const int64_t size = length_of(value);
    const int64_t place = at < 0 ? at + size : at;
    if (place < 0 || place >= size) return Value::undefined(fmt::format("item {}", at));
    if (value.is_list()) return value.items()[static_cast<size_t>(place)];
    return character_at(value.text(), place);
  } else if (value.is_namespace() && key.is_string()) {
    for (const auto& [name, own] : value.as_namespace().entries) {
      if (name == key.text()) return own;
    }
  }
  if (key.is_string()) return method_of(value, key.text());
  return Value::undefined(key.str());
}

Value attribute_of(const Value& value, const std::string& name) {
  if (value.is_undefined()) {
    fault("'{}' is undefined, and has no '{}'", value.undefined_name(), name);
  }
  if (name.starts_with("__")) return Value::undefined(name);  // out of bounds, in Jinja's sandbox
  const Value method = method_of(value, name);
  return method.is_undefined() ? item_of(value, name) : method;
}

}  // namespace heed::data::chat
