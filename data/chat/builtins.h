// Filters, tests and methods that chat templates call, as Jinja 3.1 and Python have them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/chat/value.h"

namespace heed::data::chat {

/// value | name(arguments); Fault for a filter that is not known, with those that are.
Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments);
/// value is name(arguments).
bool apply_test(const std::string& name, const Value& value, const Arguments& arguments);
/// The method of a value, or undefined.
Value method_of(const Value& value, const std::string& name);

/// Its items as tuples of key and value, of a dict; none of what is undefined.
Value pairs_of(const Value& value);

/// Characters, items or entries; Fault for what has none.
int64_t length_of(const Value& value);
/// value[begin:end:step] of a string, list or tuple; None stands for what is left out.
Value slice_of(const Value& value, const Value& begin, const Value& end, const Value& step);
/// value[key], or undefined.
Value item_of(const Value& value, const Value& key);
/// value.name: a method, a member, or undefined; Fault for a member of what is undefined.
Value attribute_of(const Value& value, const std::string& name);

}  // namespace heed::data::chat
