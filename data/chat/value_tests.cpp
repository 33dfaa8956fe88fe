#include <map>

#include "data/chat/arguments.h"
#include "data/chat/builtins.h"
#include "data/chat/text.h"
#include "data/unicode.h"

namespace heed::data::chat {
namespace {

using Test = bool (*)(const Value&, const Arguments&);

const std::map<std::string, Test>& tests() {
  static const std::map<std::string, Test> all = {
      {"boolean", [](const Value& v, const Arguments&) { return v.is_bool(); }},
      {"callable", [](const Value& v, const Arguments&) { return v.is_function(); }},
      {"defined", [](const Value& v, const Arguments&) { return !v.is_undefined(); }},
      {"divisibleby",
       [](const Value& v, const Arguments& a) {
         return arithmetic("%", v, needed(a, 0, "num")) == Value(0);
       }},
      {"eq", [](const Value& v, const Arguments& a) { return v == needed(a, 0, "other"); }},
      {"even", [](const Value& v, const Arguments&) { return v.integer("a number") % 2 == 0; }},
      {"false", [](const Value& v, const Arguments&) { return v.is_bool() && !v.truth(); }},
      {"float", [](const Value& v, const Arguments&) { return v.is_float(); }},
      {"ge",
       [](const Value& v, const Arguments& a) { return compare(v, needed(a, 0, "other")) >= 0; }},
      {"gt",
       [](const Value& v, const Arguments& a) { return compare(v, needed(a, 0, "other")) > 0; }},
      {"in", [](const Value& v, const Arguments& a) { return contains(needed(a, 0, "seq"), v); }},
      {"integer", [](const Value& v, const Arguments&) { return v.is_integer(); }},
      {"iterable",
       [](const Value& v, const Arguments&) {
         return v.is_string() || v.is_list() || v.is_map() || v.is_undefined();
       }},
      {"le",
       [](const Value& v, const Arguments& a) { return compare(v, needed(a, 0, "other")) <= 0; }},
      {"lower",
       [](const Value& v, const Arguments&) {
         const std::string text = v.str();
         return lower_case(text) == text && upper_case(text) != text;
       }},
      {"lt",
       [](const Value& v, const Arguments& a) { return compare(v, needed(a, 0, "other")) < 0; }},
      {"mapping", [](const Value& v, const Arguments&) { return v.is_map(); }},
      {"ne", [](const Value& v, const Arguments& a) { return !(v == needed(a, 0, "other")); }},
      {"none", [](const Value& v, const Arguments&) { return v.is_none(); }},
      {"number", [](const Value& v, const Arguments&) { return v.is_number(); }},
      {"odd", [](const Value& v, const Arguments&) { return v.integer("a number") % 2 != 0; }},
      {"sameas",
       [](const Value& v, const Arguments& a) {
         const Value& other = needed(a, 0, "other");
         return std::string_view(v.kind()) == other.kind() && v == other;
       }},
      {"sequence",
       [](const Value& v, const Arguments&) {
         return v.is_string() || v.is_list() || v.is_map() || v.is_undefined();
       }},
      {"string", [](const Value& v, const Arguments&) { return v.is_string(); }},
      {"true", [](const Value& v, const Arguments&) { return v.is_bool() && v.truth(); }},
      {"undefined", [](const Value& v, const Arguments&) { return v.is_undefined(); }},
      {"upper",
       [](const Value& v, const Arguments&) {
         const std::string text = v.str();
         return upper_case(text) == text && lower_case(text) != text;
       }},
  };
  return all;
}

// Other names of the same.
std::string test_name(const std::string& name) {
  static const std::map<std::string, std::string> same = {
      {"==", "eq"}, {"equalto", "eq"}, {"!=", "ne"},       {">", "gt"}, {"greaterthan", "gt"},
      {">=", "ge"}, {"<", "lt"},       {"lessthan", "lt"}, {"<=", "le"}};
  const auto found = same.find(name);
  return found == same.end() ? name : found->second;
}

}  // namespace

bool apply_test(const std::string& name, const Value& value, const Arguments& arguments) {
  const auto found = tests().find(test_name(name));
  if (found == tests().end()) fail_unknown("test", name, tests());
  return found->second(value, arguments);
}

}  // namespace heed::data::chat
