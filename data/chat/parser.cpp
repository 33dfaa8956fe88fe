#include "data/chat/parser.h"

#include <utility>

#include "data/chat/expression_parser.h"

namespace heed::data::chat {
namespace {

class Parser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  std::vector<Node> run() { return parse_body({}); }

 private:
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

  int loops_ = 0;
};

}  // namespace

std::vector<Node> parse(const std::string& source, const std::string& name) {
  return Parser(source, name).run();
}

}  // namespace heed::data::chat
