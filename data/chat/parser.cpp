#include "data/chat/parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>

#include "data/chat/lexer.h"

namespace heed::data::chat {
namespace {

using Kind = Token::Kind;
using Ex = Expression::Kind;

class Parser {
 public:
  Parser(const std::string& source, const std::string& name)
      : name_(name), tokens_(tokenize(source, name)) {}

  std::vector<Node> run() {
    std::vector<Node> nodes = parse_body({});
    return nodes;
  }

 private:
  // Tokens.
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next() {
    Token token = now();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  [[noreturn]] void fail_at(const Token& token, const std::string& message) const {
    fail_request(SourceLocation{name_, token.line, token.column}, "chat template: " + message);
  }
  static std::string spelled(const Token& token) {
    switch (token.kind) {
      case Kind::end:
        return "the end of the template";
      case Kind::block_end:
        return "'%}'";
      case Kind::variable_end:
        return "'}}'";
      case Kind::string:
        return "a string";
      default:
        return fmt::format("'{}'", token.text);
    }
  }
  bool is_sign(const char* text) const { return now().is(Kind::sign, text); }
  bool is_name(const char* text) const { return now().is(Kind::name, text); }
  bool skip_sign(const char* text) {
    if (!is_sign(text)) return false;
    next();
    return true;
  }
  bool skip_name(const char* text) {
    if (!is_name(text)) return false;
    next();
    return true;
  }
  void expect_sign(const char* text) {
    if (!skip_sign(text))
      fail_at(now(), fmt::format("expected '{}', not {}", text, spelled(now())));
  }
  void expect_name(const char* text) {
    if (!skip_name(text))
      fail_at(now(), fmt::format("expected '{}', not {}", text, spelled(now())));
  }
  std::string expect_any_name() {
    if (now().kind != Kind::name)
      fail_at(now(), fmt::format("expected a name, not {}", spelled(now())));
    return next().text;
  }
  void expect_block_end() {
    if (now().kind != Kind::block_end) {
      fail_at(now(), fmt::format("expected '%}}', not {}", spelled(now())));
    }
    next();
  }

  // Every level of the text's nesting is a level of this parser's, and of whoever walks the tree.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) {
      if (++parser_.level_ > kMostNesting) {
        parser_.fail_at(parser_.now(), fmt::format("nested more than {} deep", kMostNesting));
      }
    }
    ~Level() { --parser_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Parser& parser_;
  };

  ExpressionPointer make(Ex kind, const Token& at) const {
    auto made = std::make_unique<Expression>();
    made->kind = kind;
    made->line = at.line;
    made->column = at.column;
    return made;
  }
  void add(Expression& whole, ExpressionPointer part) const {
    if (part) whole.depth = std::max(whole.depth, part->depth + 1);
    if (whole.depth > kMostNesting) {
      fail_request(SourceLocation{name_, whole.line, whole.column},
                   fmt::format("chat template: nested more than {} deep", kMostNesting));
    }
    whole.parts.push_back(std::move(part));
  }
  template <class... Parts>
  ExpressionPointer make_of(Ex kind, const Token& at, Parts... parts) const {
    ExpressionPointer made = make(kind, at);
    (add(*made, std::move(parts)), ...);
    return made;
  }

  // Statements.
  // Up to a block that one of `ends` begins; that word is the current token then.
  std::vector<Node> parse_body(const std::vector<const char*>& ends) {
    const Level level(*this);
    std::vector<Node> nodes;
    while (true) {
      const Token token = now();
      if (token.kind == Kind::end) {
        if (ends.empty()) return nodes;
        fail_at(token, fmt::format("a block has no '{}'", ends.back()));
      }
      next();
      if (token.kind == Kind::text) {
        Node node = node_at(Node::Kind::text, token);
        node.text = token.text;
        nodes.push_back(std::move(node));
      } else if (token.kind == Kind::variable_begin) {
        Node node = node_at(Node::Kind::output, token);
        node.expression = parse_tuple(true);
        if (now().kind != Kind::variable_end) {
          fail_at(now(), fmt::format("expected '}}}}', not {}", spelled(now())));
        }
        next();
        nodes.push_back(std::move(node));
      } else {  // the beginning of a block
        if (now().kind != Kind::name) fail_at(now(), "a block begins with a name");
        for (const char* end : ends) {
          if (is_name(end)) return nodes;
        }
        nodes.push_back(parse_statement());
      }
    }
  }

  static Node node_at(Node::Kind kind, const Token& token) {
    Node node;
    node.kind = kind;
    node.line = token.line;
    node.column = token.column;
    return node;
  }

  Node parse_statement() {
    const Token token = next();
    const std::string& word = token.text;
    if (word == "for") return parse_for(token);
    if (word == "if") return parse_if(token);
    if (word == "set") return parse_set(token);
    if (word == "macro") return parse_macro(token);
    if (word == "break" || word == "continue") {
      if (loops_ == 0) fail_at(token, fmt::format("'{}' outside a loop", word));
      expect_block_end();
      return node_at(word == "break" ? Node::Kind::leave : Node::Kind::proceed, token);
    }
    if (word == "generation") {  // of transformers: marks what the assistant says
      expect_block_end();
      Node node = node_at(Node::Kind::group, token);
      node.body = parse_body({"endgeneration"});
      next();
      expect_block_end();
      return node;
    }
    fail_at(token,
            fmt::format("the block '{}' is not supported (known: for, if, set, macro, break, "
                        "continue, generation, raw)",
                        word));
  }

  Node::Target parse_target(bool attributes) {
    const Token token = now();
    Node::Target target{expect_any_name(), ""};
    if (is_constant(target.name)) fail_at(token, fmt::format("'{}' cannot be set", target.name));
    if (attributes && skip_sign(".")) target.attribute = expect_any_name();
    return target;
  }

  std::vector<Node::Target> parse_targets(bool attributes) {
    const bool closed = skip_sign("(");
    std::vector<Node::Target> targets = {parse_target(attributes)};
    while (skip_sign(",")) {
      if (is_name("in") || is_sign("=") || is_sign(")")) break;
      targets.push_back(parse_target(attributes));
    }
    if (closed) expect_sign(")");
    return targets;
  }

  Node parse_for(const Token& token) {
    Node node = node_at(Node::Kind::loop, token);
    node.targets = parse_targets(false);
    expect_name("in");
    node.expression = parse_tuple(false);
    if (skip_name("if")) node.condition = parse_expression();
    if (is_name("recursive")) fail_at(now(), "recursive loops are not supported");
    expect_block_end();
    ++loops_;
    node.body = parse_body({"else", "endfor"});
    --loops_;
    if (next().text == "else") {
      expect_block_end();
      node.otherwise = parse_body({"endfor"});
      next();
    }
    expect_block_end();
    return node;
  }

  Node parse_if(const Token& token) {
    Node node = node_at(Node::Kind::condition, token);
    while (true) {
      Node::Branch branch;
      branch.condition = parse_tuple(false);
      expect_block_end();
      branch.body = parse_body({"elif", "else", "endif"});
      node.branches.push_back(std::move(branch));
      const std::string word = next().text;
      if (word == "elif") continue;
      if (word == "else") {
        expect_block_end();
        node.otherwise = parse_body({"endif"});
        next();
      }
      expect_block_end();
      return node;
    }
  }

  Node parse_set(const Token& token) {
    Node node = node_at(Node::Kind::set, token);
    node.targets = parse_targets(true);
    if (skip_sign("=")) {
      node.expression = parse_tuple(true);
      expect_block_end();
      return node;
    }
    if (is_sign("|")) fail_at(now(), "a block that is set has no filter here");
    if (node.targets.size() != 1) fail_at(token, "a block is set to one name");
    expect_block_end();
    node.body = parse_body({"endset"});
    next();
    expect_block_end();
    return node;
  }

  Node parse_macro(const Token& token) {
    Node node = node_at(Node::Kind::macro, token);
    node.text = expect_any_name();
    expect_sign("(");
    while (!is_sign(")")) {
      if (!node.parameters.empty()) expect_sign(",");
      if (is_sign(")")) break;
      const Token at = now();
      Node::Parameter parameter{expect_any_name(), nullptr};
      if (skip_sign("=")) {
        parameter.otherwise = parse_expression();
      } else if (!node.parameters.empty() && node.parameters.back().otherwise) {
        fail_at(at, "a parameter without a default follows one with a default");
      }
      node.parameters.push_back(std::move(parameter));
    }
    expect_sign(")");
    expect_block_end();
    const int outside = std::exchange(loops_, 0);
    node.body = parse_body({"endmacro"});
    loops_ = outside;
    next();
    expect_block_end();
    return node;
  }

  // Expressions, from the loosest.
  static bool is_constant(const std::string& name) {
    for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
      if (name == constant) return true;
    }
    return false;
  }

  bool ends_tuple() const {
    return now().kind == Kind::variable_end || now().kind == Kind::block_end || is_sign(")");
  }

  ExpressionPointer parse_tuple(bool conditionals) {
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

  ExpressionPointer parse_expression() {
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

  ExpressionPointer parse_or() {
    const Token token = now();
    ExpressionPointer left = parse_and();
    while (skip_name("or")) {
      ExpressionPointer right = parse_and();
      left = make_of(Ex::disjunction, token, std::move(left), std::move(right));
    }
    return left;
  }

  ExpressionPointer parse_and() {
    const Token token = now();
    ExpressionPointer left = parse_not();
    while (skip_name("and")) {
      ExpressionPointer right = parse_not();
      left = make_of(Ex::conjunction, token, std::move(left), std::move(right));
    }
    return left;
  }

  ExpressionPointer parse_not() {
    const Level level(*this);
    const Token token = now();
    if (!skip_name("not")) return parse_comparison();
    ExpressionPointer operand = parse_not();
    return make_of(Ex::negation, token, std::move(operand));
  }

  ExpressionPointer parse_comparison() {
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

  // A row of operators of equal rank, from the left.
  template <class Inner>
  ExpressionPointer parse_row(const std::vector<const char*>& signs, Inner&& inner) {
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

  ExpressionPointer parse_sum() {
    return parse_row({"+", "-"}, [&] { return parse_concat(); });
  }

  ExpressionPointer parse_concat() {
    const Token token = now();
    ExpressionPointer first = parse_product();
    if (!is_sign("~")) return first;
    ExpressionPointer whole = make_of(Ex::concat, token, std::move(first));
    while (skip_sign("~")) add(*whole, parse_product());
    return whole;
  }

  ExpressionPointer parse_product() {
    return parse_row({"*", "//", "/", "%"},
                     [&] { return parse_row({"**"}, [&] { return parse_unary(true); }); });
  }

  ExpressionPointer parse_unary(bool with_filters) {
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

  ExpressionPointer parse_primary() {
    const Token token = now();
    switch (token.kind) {
      case Kind::name: {
        next();
        ExpressionPointer made = make(is_constant(token.text) ? Ex::literal : Ex::name, token);
        made->name = token.text;
        if (token.text == "true" || token.text == "True") made->value = true;
        if (token.text == "false" || token.text == "False") made->value = false;
        return made;
      }
      case Kind::string: {
        ExpressionPointer made = make(Ex::literal, token);
        std::string text;
        while (now().kind == Kind::string) text += next().text;
        made->value = Value(std::move(text));
        return made;
      }
      case Kind::integer:
      case Kind::number: {
        next();
        ExpressionPointer made = make(Ex::literal, token);
        const char* end = token.text.data() + token.text.size();
        if (token.kind == Kind::integer) {
          int64_t value = 0;
          if (std::from_chars(token.text.data(), end, value).ptr != end ||
              std::from_chars(token.text.data(), end, value).ec != std::errc()) {
            fail_at(token, "an integer has more than 64 bits");
          }
          made->value = value;
        } else {
          double value = 0;
          if (std::from_chars(token.text.data(), end, value).ec != std::errc()) {
            fail_at(token, "a number is out of range");
          }
          made->value = value;
        }
        return made;
      }
      default:
        break;
    }
    if (skip_sign("(")) {
      if (skip_sign(")")) return make(Ex::tuple, token);
      ExpressionPointer inner = parse_tuple(true);
      expect_sign(")");
      return inner;
    }
    if (skip_sign("[")) {
      ExpressionPointer list = make(Ex::list, token);
      while (!is_sign("]")) {
        if (!list->parts.empty()) expect_sign(",");
        if (is_sign("]")) break;
        add(*list, parse_expression());
      }
      expect_sign("]");
      return list;
    }
    if (skip_sign("{")) {
      ExpressionPointer map = make(Ex::map, token);
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
    fail_at(token, fmt::format("expected a value, not {}", spelled(token)));
  }

  ExpressionPointer parse_postfix(ExpressionPointer value) {
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

  ExpressionPointer parse_subscript(ExpressionPointer value, const Token& token) {
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

  void parse_arguments(Expression& call) {
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

  ExpressionPointer parse_filters(ExpressionPointer value) {
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

  ExpressionPointer parse_test(ExpressionPointer value, const Token& token) {
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

  const std::string& name_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int level_ = 0, loops_ = 0;
};

}  // namespace

std::vector<Node> parse(const std::string& source, const std::string& name) {
  return Parser(source, name).run();
}

}  // namespace heed::data::chat
