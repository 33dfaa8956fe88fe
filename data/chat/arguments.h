// What a call was given, by place or name, and what of it must be there.
#pragma once

#include <string>
#include <vector>

#include "data/chat/value.h"

namespace heed::data::chat {

/// The argument of a place or name, or null.
const Value* argument(const Arguments& arguments, size_t place, const char* name);
/// Fault where it is missing.
const Value& needed(const Arguments& arguments, size_t place, const char* name);
Value argument_or(const Arguments& arguments, size_t place, const char* name, Value otherwise);
/// A string's text; Fault for another value, called `what`.
const std::string& text_of(const Value& value, const char* what);

/// Fault for a filter or test (`what`) that no table has.
template <class Table>
[[noreturn]] void fail_unknown(const char* what, const std::string& name, const Table& known) {
  std::vector<std::string> names;
  for (const auto& [own, function] : known) names.push_back(own);
  fault("the {} '{}' is not supported{} (known: {})", what, name, did_you_mean(name, names),
        fmt::join(names, ", "));
}

}  // namespace heed::data::chat
