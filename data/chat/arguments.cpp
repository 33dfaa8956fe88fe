#include "data/chat/arguments.h"

#include <utility>

namespace heed::data::chat {

const Value* argument(const Arguments& arguments, size_t place, const char* name) {
  for (const auto& [own, value] : arguments.named) {
    if (own == name) return &value;
  }
  return place < arguments.positional.size() ? &arguments.positional[place] : nullptr;
}

const Value& needed(const Arguments& arguments, size_t place, const char* name) {
  const Value* value = argument(arguments, place, name);
  if (value == nullptr) fault("the argument '{}' is missing", name);
  return *value;
}

Value argument_or(const Arguments& arguments, size_t place, const char* name, Value otherwise) {
  const Value* value = argument(arguments, place, name);
  return value == nullptr ? std::move(otherwise) : *value;
}

const std::string& text_of(const Value& value, const char* what) {
  if (!value.is_string()) fault("{} must be a string, not a {}", what, value.kind());
  return value.text();
}

}  // namespace heed::data::chat
