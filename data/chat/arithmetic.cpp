#include <algorithm>
#include <cmath>

#include "data/chat/value.h"

namespace heed::data::chat {
namespace {

int64_t checked(__int128 value) {
  if (value > INT64_MAX || value < INT64_MIN) fault("an integer has more than 64 bits");
  return static_cast<int64_t>(value);
}

int64_t floor_divide(int64_t a, int64_t b) {
  const auto quotient = static_cast<__int128>(a) / b;
  const bool down = (a % b != 0) && ((a < 0) != (b < 0));
  return checked(quotient - (down ? 1 : 0));
}

double floor_modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value repeated(const Value& what, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const size_t size = what.is_string() ? what.text().size() : what.items().size() * sizeof(Value);
  if (size > 0 && static_cast<size_t>(times) > kMostText / size) fault("a repetition is too long");
  if (what.is_string()) {
    std::string text;
    for (int64_t i = 0; i < times; ++i) text += what.text();
    return text;
  }
  if (times > kMostValues / what.weight()) fault("a repetition holds too much");
  Values items;
  for (int64_t i = 0; i < times; ++i) {
    items.insert(items.end(), what.items().begin(), what.items().end());
  }
  return Value::list(std::move(items), what.is_tuple());
}

Value power(const Value& a, const Value& b) {
  if (a.is_float() || b.is_float() || b.integer("an exponent") < 0) {
    return std::pow(a.number(), b.number());
  }
  const int64_t base = a.integer("a base"), exponent = b.integer("an exponent");
  if (base == 0 || base == 1) return exponent == 0 ? int64_t{1} : base;
  if (base == -1) return exponent % 2 == 0 ? int64_t{1} : int64_t{-1};
  __int128 result = 1;
  for (int64_t i = 0; i < exponent; ++i) result = checked(result * base);
  return static_cast<int64_t>(result);
}

}  // namespace

Value arithmetic(const std::string& op, const Value& a, const Value& b) {
  for (const Value* side : {&a, &b}) {
    if (side->is_undefined()) fault("'{}' is undefined", side->undefined_name());
  }
  if (op == "+") {
    if (a.is_string() && b.is_string()) return a.text() + b.text();
    if (a.is_list() && b.is_list() && a.is_tuple() == b.is_tuple()) {
      Values items = a.items();
      items.insert(items.end(), b.items().begin(), b.items().end());
      return Value::list(std::move(items), a.is_tuple());
    }
  }
  if (op == "*") {
    if ((a.is_string() || a.is_list()) && (b.is_integer() || b.is_bool())) {
      return repeated(a, b.integer(""));
    }
    if ((b.is_string() || b.is_list()) && (a.is_integer() || a.is_bool())) {
      return repeated(b, a.integer(""));
    }
  }
  if (!a.is_number() || !b.is_number()) {
    fault("{} is not for a {} and a {}", op, a.kind(), b.kind());
  }
  const bool divides = op == "/" || op == "//" || op == "%";
  if (divides && b.number() == 0) fault("division by zero");
  if (op == "**") return power(a, b);
  if (op == "/") return a.number() / b.number();
  if (a.is_float() || b.is_float()) {
    const double x = a.number(), y = b.number();
    if (op == "+") return x + y;
    if (op == "-") return x - y;
    if (op == "*") return x * y;
    return op == "//" ? std::floor(x / y) : floor_modulo(x, y);
  }
  const int64_t x = a.integer(""), y = b.integer("");
  if (op == "+") return checked(static_cast<__int128>(x) + y);
  if (op == "-") return checked(static_cast<__int128>(x) - y);
  if (op == "*") return checked(static_cast<__int128>(x) * y);
  if (op == "//") return floor_divide(x, y);
  return y == -1 ? int64_t{0} : x - floor_divide(x, y) * y;
}

}  // namespace heed::data::chat
