// The tree of a chat template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/chat/value.h"

namespace heed::data::chat {

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind {
    literal,      ///< value
    name,         ///< name
    list,         ///< parts
    tuple,        ///< parts
    map,          ///< parts: key, value, key, value, ...
    attribute,    ///< parts[0].name
    item,         ///< parts[0][parts[1]]
    slice,        ///< parts[0][parts[1]:parts[2]:parts[3]], each but the first may be null
    call,         ///< parts[0](the rest, named)
    filter,       ///< parts[0] | name(the rest, named)
    test,         ///< parts[0] is name(the rest)
    negation,     ///< not parts[0]
    minus,        ///< -parts[0]
    plus,         ///< +parts[0]
    binary,       ///< parts[0] name parts[1]: + - * / // % **
    concat,       ///< parts[0] ~ parts[1] ~ ...
    comparison,   ///< parts[0] signs[0] parts[1] signs[1] parts[2] ...
    conjunction,  ///< parts[0] and parts[1]
    disjunction,  ///< parts[0] or parts[1]
    conditional,  ///< parts[0] if parts[1] else parts[2], which may be null
  };
  Kind kind = Kind::literal;
  int line = 0, column = 0;
  std::string name;
  Value value;
  std::vector<ExpressionPointer> parts;
  std::vector<std::pair<std::string, ExpressionPointer>> named;
  std::vector<std::string> signs;
  int depth = 1;
};

struct Node {
  enum class Kind {
    text,       ///< text
    output,     ///< {{ expression }}
    loop,       ///< for targets in expression if condition: body, else: otherwise
    condition,  ///< branches, else: otherwise
    set,        ///< targets = expression, or the text of the body
    macro,      ///< text(parameters): body
    leave,      ///< break
    proceed,    ///< continue
    group,      ///< body, as it is
  };
  struct Target {
    std::string name, attribute;  ///< "ns.x": both
  };
  struct Branch {
    ExpressionPointer condition;
    std::vector<Node> body;
  };
  struct Parameter {
    std::string name;
    ExpressionPointer otherwise;  ///< or null
  };
  Kind kind = Kind::text;
  int line = 0, column = 0;
  std::string text;
  ExpressionPointer expression, condition;
  std::vector<Target> targets;
  std::vector<Parameter> parameters;
  std::vector<Branch> branches;
  std::vector<Node> body, otherwise;
};

}  // namespace heed::data::chat
