#include "data/chat/expression_parser.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace heed::data::chat {

ExpressionPointer ExpressionParser::make(Ex kind, const Token& at) const {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = at.line;
  made->column = at.column;
  return made;
}

void ExpressionParser::add(Expression& whole, ExpressionPointer part) const {
  if (part) whole.depth = std::max(whole.depth, part->depth + 1);
  if (whole.depth > kMostNesting) {
    fail_request(SourceLocation{name(), whole.line, whole.column},
                 fmt::format("chat template: nested more than {} deep", kMostNesting));
  }
  whole.parts.push_back(std::move(part));
}

template <class... Parts>
ExpressionPointer ExpressionParser::make_of(Ex kind, const Token& at, Parts... parts) const {
  ExpressionPointer made = make(kind, at);
  (add(*made, std::move(parts)), ...);
  return made;
}

template <class Inner>
ExpressionPointer ExpressionParser::parse_row(const std::vector<const char*>& signs,
                                              Inner&& inner) {
  const Token token = now();
  ExpressionPointer left = inner();
  while (true) {
    const auto sign =
        std::find_if(signs.begin(), signs.end(), [&](const char* s) { return is_sign(s); });
    if (sign == signs.end()) return left;
    next();
    ExpressionPointer right = inner();
    left = make_of(Ex::binary, token, std::move(left), std::move(right));
    left->name = *sign;
  }
}

bool ExpressionParser::is_constant(const std::string& name) {
  for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) return true;
  }
  return false;
}

bool ExpressionParser::ends_tuple() const {
  return now().kind == Kind::variable_end || now().kind == Kind::block_end || is_sign(")");
}

ExpressionPointer ExpressionParser::parse_tuple(bool conditionals) {
  const Token token = now();
  ExpressionPointer first = conditionals ? parse_expression() : parse_or();
  if (!is_sign(",")) return first;
  ExpressionPointer tuple = make_of(Ex::tuple, token, std::move(first));
  while (skip_sign(",")) {
    if (ends_tuple()) break;
    add(*tuple, conditionals ? parse_expression() : parse_or());
  }
  return tuple;
}

ExpressionPointer ExpressionParser::parse_expression() {
  const Level level(*this);
  const Token token = now();
  ExpressionPointer value = parse_or();
  while (skip_name("if")) {
    ExpressionPointer condition = parse_or();
    ExpressionPointer otherwise = skip_name("else") ? parse_expression() : nullptr;
    value = make_of(Ex::conditional, token, std::move(value), std::move(condition),
                    std::move(otherwise));
  }
  return value;
}

ExpressionPointer ExpressionParser::parse_or() {
  const Token token = now();
  ExpressionPointer left = parse_and();
  while (skip_name("or")) {
    ExpressionPointer right = parse_and();
    left = make_of(Ex::disjunction, token, std::move(left), std::move(right));
  }
  return left;
}

ExpressionPointer ExpressionParser::parse_and() {
  const Token token = now();
  ExpressionPointer left = parse_not();
  while (skip_name("and")) {
    ExpressionPointer right = parse_not();
    left = make_of(Ex::conjunction, token, std::move(left), std::move(right));
  }
  return left;
}

ExpressionPointer ExpressionParser::parse_not() {
  const Level level(*this);
  const Token token = now();
  if (!skip_name("not")) return parse_comparison();
  ExpressionPointer operand = parse_not();
  return make_of(Ex::negation, token, std::move(operand));
}

ExpressionPointer ExpressionParser::parse_comparison() {
  const Token token = now();
  ExpressionPointer first = parse_sum();
  ExpressionPointer whole;
  while (true) {
    std::string sign;
    for (const char* known : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (sign.empty() && is_sign(known)) sign = known;
    }
    if (sign.empty() && is_name("in")) sign = "in";
    if (sign.empty() && is_name("not") && ahead().is(Kind::name, "in")) {
      next();
      sign = "not in";
    }
    if (sign.empty()) return whole ? std::move(whole) : std::move(first);
    next();
    if (!whole) whole = make_of(Ex::comparison, token, std::move(first));
    whole->signs.push_back(sign);
    add(*whole, parse_sum());
  }
}

ExpressionPointer ExpressionParser::parse_sum() {
  return parse_row({"+", "-"}, [&] { return parse_concat(); });
}

ExpressionPointer ExpressionParser::parse_concat() {
  const Token token = now();
  ExpressionPointer first = parse_product();
  if (!is_sign("~")) return first;
  ExpressionPointer whole = make_of(Ex::concat, token, std::move(first));
  while (skip_sign("~")) add(*whole, parse_product());
  return whole;
}

ExpressionPointer ExpressionParser::parse_product() {
  return parse_row({"*", "//", "/", "%"},
                   [&] { return parse_row({"**"}, [&] { return parse_unary(true); }); });
}

ExpressionPointer ExpressionParser::parse_unary(bool with_filters) {
  const Level level(*this);
  const Token token = now();
  ExpressionPointer value;
  if (skip_sign("-")) {
    ExpressionPointer operand = parse_unary(false);
    value = make_of(Ex::minus, token, std::move(operand));
  } else if (skip_sign("+")) {
    ExpressionPointer operand = parse_unary(false);
    value = make_of(Ex::plus, token, std::move(operand));
  } else {
    value = parse_primary();
  }
  value = parse_postfix(std::move(value));
  return with_filters ? parse_filters(std::move(value)) : std::move(value);
}

ExpressionPointer ExpressionParser::parse_name() {
  const Token token = next();
  ExpressionPointer made = make(is_constant(token.text) ? Ex::literal : Ex::name, token);
  made->name = token.text;
  if (token.text == "true" || token.text == "True") made->value = true;
  if (token.text == "false" || token.text == "False") made->value = false;
  return made;
}

// Strings beside each other are one.
ExpressionPointer ExpressionParser::parse_string() {
  ExpressionPointer made = make(Ex::literal, now());
  std::string text;
  while (now().kind == Kind::string) text += next().text;
  made->value = Value(std::move(text));
  return made;
}

ExpressionPointer ExpressionParser::parse_number() {
  const Token token = next();
  ExpressionPointer made = make(Ex::literal, token);
  const char* begin = token.text.data();
  const char* end = begin + token.text.size();
  if (token.kind == Kind::integer) {
    int64_t value = 0;
    const auto read = std::from_chars(begin, end, value);
    if (read.ptr != end || read.ec != std::errc())
      fail_at(token, "an integer has more than 64 bits");
    made->value = value;
  } else {
    double value = 0;
    if (std::from_chars(begin, end, value).ec != std::errc())
      fail_at(token, "a number is out of range");
    made->value = value;
  }
  return made;
}

ExpressionPointer ExpressionParser::parse_list() {
  ExpressionPointer list = make(Ex::list, now());
  expect_sign("[");
  while (!is_sign("]")) {
    if (!list->parts.empty()) expect_sign(",");
    if (is_sign("]")) break;
    add(*list, parse_expression());
  }
  expect_sign("]");
  return list;
}

ExpressionPointer ExpressionParser::parse_map() {
  ExpressionPointer map = make(Ex::map, now());
  expect_sign("{");
  while (!is_sign("}")) {
    if (!map->parts.empty()) expect_sign(",");
    if (is_sign("}")) break;
    add(*map, parse_expression());
    expect_sign(":");
    add(*map, parse_expression());
  }
  expect_sign("}");
  return map;
}

ExpressionPointer ExpressionParser::parse_primary() {
  const Token token = now();
  if (token.kind == Kind::name) return parse_name();
  if (token.kind == Kind::string) return parse_string();
  if (token.kind == Kind::integer || token.kind == Kind::number) return parse_number();
  if (is_sign("[")) return parse_list();
  if (is_sign("{")) return parse_map();
  if (!skip_sign("(")) fail_at(token, fmt::format("expected a value, not {}", spelled(token)));
  if (skip_sign(")")) return make(Ex::tuple, token);
  ExpressionPointer inner = parse_tuple(true);
  expect_sign(")");
  return inner;
}

ExpressionPointer ExpressionParser::parse_postfix(ExpressionPointer value) {
  while (true) {
    const Token token = now();
    if (skip_sign(".")) {
      if (now().kind == Kind::integer) {  // x.0 is x[0]
        ExpressionPointer index = parse_primary();
        value = make_of(Ex::item, token, std::move(value), std::move(index));
        continue;
      }
      const std::string name = expect_any_name();
      value = make_of(Ex::attribute, token, std::move(value));
      value->name = name;
    } else if (skip_sign("[")) {
      value = parse_subscript(std::move(value), token);
    } else if (is_sign("(")) {
      value = make_of(Ex::call, token, std::move(value));
      parse_arguments(*value);
    } else {
      return value;
    }
  }
}

ExpressionPointer ExpressionParser::parse_subscript(ExpressionPointer value, const Token& token) {
  std::array<ExpressionPointer, 3> bounds;
  size_t bound = 0;
  bool slices = false;
  while (!is_sign("]")) {
    if (skip_sign(":")) {
      slices = true;
      if (++bound > 2) fail_at(token, "a slice has three bounds at most");
      continue;
    }
    if (bounds[bound]) fail_at(now(), fmt::format("expected ']', not {}", spelled(now())));
    bounds[bound] = parse_tuple(true);
  }
  expect_sign("]");
  if (!slices) {
    if (!bounds[0]) fail_at(token, "a subscript is empty");
    return make_of(Ex::item, token, std::move(value), std::move(bounds[0]));
  }
  return make_of(Ex::slice, token, std::move(value), std::move(bounds[0]), std::move(bounds[1]),
                 std::move(bounds[2]));
}

void ExpressionParser::parse_arguments(Expression& call) {
  expect_sign("(");
  bool first = true;
  while (!is_sign(")")) {
    if (!first) expect_sign(",");
    if (is_sign(")")) break;
    first = false;
    if (is_sign("*") || is_sign("**")) fail_at(now(), "starred arguments are not supported");
    if (now().kind == Kind::name && ahead().is(Kind::sign, "=")) {
      std::string name = next().text;
      next();
      ExpressionPointer value = parse_expression();
      call.depth = std::max(call.depth, value->depth + 1);
      call.named.emplace_back(std::move(name), std::move(value));
    } else if (!call.named.empty()) {
      fail_at(now(), "an argument without a name follows one with a name");
    } else {
      add(call, parse_expression());
    }
  }
  expect_sign(")");
}

ExpressionPointer ExpressionParser::parse_filters(ExpressionPointer value) {
  while (true) {
    const Token token = now();
    if (skip_sign("|")) {
      const std::string name = expect_any_name();
      value = make_of(Ex::filter, token, std::move(value));
      value->name = name;
      if (is_sign("(")) parse_arguments(*value);
    } else if (skip_name("is")) {
      value = parse_test(std::move(value), token);
    } else if (is_sign("(")) {
      value = make_of(Ex::call, token, std::move(value));
      parse_arguments(*value);
    } else {
      return value;
    }
  }
}

ExpressionPointer ExpressionParser::parse_test(ExpressionPointer value, const Token& token) {
  const bool negated = skip_name("not");
  const std::string name = expect_any_name();
  ExpressionPointer test = make_of(Ex::test, token, std::move(value));
  test->name = name;
  const bool word = now().kind == Kind::name && !is_name("else") && !is_name("or") &&
                    !is_name("and") && !is_name("if") && !is_name("in") && !is_name("not") &&
                    !is_name("is");
  if (is_sign("(")) {
    parse_arguments(*test);
  } else if (word || now().kind == Kind::string || now().kind == Kind::integer ||
             now().kind == Kind::number || is_sign("[") || is_sign("{")) {
    add(*test, parse_postfix(parse_primary()));
  }
  return negated ? make_of(Ex::negation, token, std::move(test)) : std::move(test);
}

}  // namespace heed::data::chat
