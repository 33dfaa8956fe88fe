#include "data/chat/template.h"

#include <algorithm>
#include <optional>

#include "data/chat/builtins.h"
#include "data/chat/globals.h"
#include "data/chat/loop.h"
#include "data/chat/names.h"
#include "data/chat/parser.h"

namespace heed::data::chat {
namespace {

using Ex = Expression::Kind;

constexpr int kMostCalls = 30;  // of macros within macros

class Interpreter {
 public:
  Interpreter(const std::string& name, const Template::Variables& variables, const std::tm& now,
              const RenderLimits& limits)
      : name_(name), limits_(limits), names_(global_names(now)) {
    for (const auto& [variable, value] : variables) names_.set(variable, value);
  }

  std::string run(const std::vector<Node>& nodes) {
    execute(nodes);
    return std::move(out_);
  }

 private:
  enum class Flow { on, leave, proceed };

  [[noreturn]] void fail_at(int line, int column, const std::string& message) const {
    fail_request(SourceLocation{name_, line, column}, "chat template: " + message);
  }
  void step(int line, int column, int64_t cost = 1) {
    steps_ += cost;
    if (steps_ > limits_.steps) {
      fail_at(line, column, fmt::format("it takes more than {} steps", limits_.steps));
    }
  }

  bool is_loop(const Expression& e) const {
    if (e.kind != Ex::name || e.name != "loop" || loops_.empty()) return false;
    return names_.look_up("loop").is_undefined();
  }

  // Statements.
  Flow execute(const std::vector<Node>& nodes) {
    for (const Node& node : nodes) {
      const Flow flow = execute(node);
      if (flow != Flow::on) return flow;
    }
    return Flow::on;
  }

  void write(const std::string& text, const Node& node) {
    out_ += text;
    written_ += text.size();
    if (written_ > limits_.output) {
      fail_at(node.line, node.column, fmt::format("it writes more than {} bytes", limits_.output));
    }
  }

  // Reports what goes wrong at the statement's place.
  template <class Work>
  auto at(const Node& node, Work&& work) {
    try {
      return work();
    } catch (const Fault& fault) {
      fail_at(node.line, node.column, fault.what());
    }
  }

  Flow execute(const Node& node) {
    step(node.line, node.column);
    switch (node.kind) {
      case Node::Kind::text:
        write(node.text, node);
        return Flow::on;
      case Node::Kind::output: {
        const Value value = evaluate(*node.expression);
        write(at(node, [&] { return value.str(); }), node);
        return Flow::on;
      }
      case Node::Kind::condition:
        for (const Node::Branch& branch : node.branches) {
          if (evaluate(*branch.condition).truth()) return execute(branch.body);
        }
        return execute(node.otherwise);
      case Node::Kind::loop:
        return execute_loop(node);
      case Node::Kind::set:
        execute_set(node);
        return Flow::on;
      case Node::Kind::macro:
        define_macro(node);
        return Flow::on;
      case Node::Kind::group:
        return execute(node.body);
      case Node::Kind::leave:
        return Flow::leave;
      case Node::Kind::proceed:
        return Flow::proceed;
    }
    return Flow::on;
  }

  // What a body writes.
  std::string captured(const std::vector<Node>& body) {
    std::string outside;
    outside.swap(out_);
    execute(body);
    outside.swap(out_);
    return outside;
  }

  void execute_set(const Node& node) {
    if (!node.expression) {
      names_.enter();
      std::string text = captured(node.body);
      names_.leave();
      assign(node, node.targets[0], at(node, [&] { return Value(std::move(text)); }));
      return;
    }
    const Value value = evaluate(*node.expression);
    if (node.targets.size() == 1) {
      assign(node, node.targets[0], value);
      return;
    }
    unpack(node, value);
  }

  void unpack(const Node& node, const Value& value) {
    const Values items = at(node, [&] { return iterate(value); });
    if (items.size() != node.targets.size()) {
      fail_at(node.line, node.column,
              fmt::format("{} values for {} names", items.size(), node.targets.size()));
    }
    for (size_t i = 0; i < items.size(); ++i) assign(node, node.targets[i], items[i]);
  }

  void assign(const Node& node, const Node::Target& target, Value value) {
    if (target.attribute.empty()) {
      names_.set(target.name, std::move(value));
      return;
    }
    const Value space = names_.look_up(target.name);
    if (!space.is_namespace()) {
      fail_at(node.line, node.column,
              fmt::format("'{}' is a {}; only a namespace's members can be set", target.name,
                          space.kind()));
    }
    if (value.is_namespace()) {
      fail_at(node.line, node.column, "a namespace cannot be kept in another value");
    }
    auto& entries = space.as_namespace().entries;
    for (auto& [own, old] : entries) {
      if (own == target.attribute) {
        old = std::move(value);
        return;
      }
    }
    entries.emplace_back(target.attribute, std::move(value));
  }

  Flow execute_loop(const Node& node) {
    const Value over = evaluate(*node.expression);
    Values items = at(node, [&] { return iterate(over); });
    const auto bind = [&](const Value& item) {
      if (node.targets.size() == 1) {
        assign(node, node.targets[0], item);
      } else {
        unpack(node, item);
      }
    };
    if (node.condition) {
      Values kept;
      for (const Value& item : items) {
        step(node.line, node.column);
        names_.enter();
        bind(item);
        if (evaluate(*node.condition).truth()) kept.push_back(item);
        names_.leave();
      }
      items = std::move(kept);
    }
    if (items.empty()) {
      names_.enter();
      const Flow flow = execute(node.otherwise);
      names_.leave();
      return flow;
    }
    loops_.push_back({&items, 0, {}});
    for (size_t i = 0; i < items.size(); ++i) {
      step(node.line, node.column);
      loops_.back().at = i;
      names_.enter();
      bind(items[i]);
      const Flow flow = execute(node.body);
      names_.leave();
      if (flow == Flow::leave) break;
    }
    loops_.pop_back();
    return Flow::on;
  }

  void define_macro(const Node& node) {
    names_.set(node.text, Value::function(node.text, [this, &node](const Arguments& given) {
                 return call_macro(node, given);
               }));
  }

  // A macro sees the template's own names, its parameters, and nothing of its caller's.
  Value call_macro(const Node& node, const Arguments& given) {
    if (++calls_ > kMostCalls) fault("macros call each other more than {} deep", kMostCalls);
    if (given.positional.size() > node.parameters.size()) {
      fault("the macro '{}' takes {} arguments", node.text, node.parameters.size());
    }
    for (const auto& [name, value] : given.named) {
      const bool known = std::any_of(node.parameters.begin(), node.parameters.end(),
                                     [&name = name](const auto& p) { return p.name == name; });
      if (!known) fault("the macro '{}' takes no argument '{}'", node.text, name);
    }
    std::vector<Names::Scope> callers = names_.enter_macro();
    std::vector<Loop> loops;
    loops_.swap(loops);
    for (size_t i = 0; i < node.parameters.size(); ++i) {
      const Node::Parameter& parameter = node.parameters[i];
      const auto named = std::find_if(given.named.begin(), given.named.end(),
                                      [&](const auto& n) { return n.first == parameter.name; });
      Value value = Value::undefined(parameter.name);
      if (i < given.positional.size()) {
        value = given.positional[i];
      } else if (named != given.named.end()) {
        value = named->second;
      } else if (parameter.otherwise) {
        value = evaluate(*parameter.otherwise);
      }
      names_.set(parameter.name, std::move(value));
    }
    std::string text = captured(node.body);
    names_.leave_macro(std::move(callers));
    loops_.swap(loops);
    --calls_;
    return Value(std::move(text));
  }

  // Expressions.
  Value evaluate(const Expression& e) {
    step(e.line, e.column);
    try {
      Value value = value_of(e);
      // What is large costs as much as what can be done with it.
      const int64_t size = value.is_string() ? std::ssize(value.text()) : value.weight();
      step(e.line, e.column, size / 64);
      return value;
    } catch (const Fault& fault) {
      fail_at(e.line, e.column, fault.what());
    }
  }

  Arguments arguments_of(const Expression& e) {
    Arguments arguments;
    for (size_t i = 1; i < e.parts.size(); ++i)
      arguments.positional.push_back(evaluate(*e.parts[i]));
    for (const auto& [name, value] : e.named) arguments.named.emplace_back(name, evaluate(*value));
    return arguments;
  }

  Value value_of(const Expression& e) {
    const auto part = [&](size_t i) { return evaluate(*e.parts[i]); };
    switch (e.kind) {
      case Ex::literal:
        return e.value;
      case Ex::name:
        return names_.look_up(e.name);
      case Ex::list:
      case Ex::tuple: {
        Values items;
        for (const ExpressionPointer& item : e.parts) items.push_back(evaluate(*item));
        return Value::list(std::move(items), e.kind == Ex::tuple);
      }
      case Ex::map: {
        std::vector<std::pair<Value, Value>> entries;
        for (size_t i = 0; i + 1 < e.parts.size(); i += 2) {
          Value key = part(i);
          entries.emplace_back(std::move(key), part(i + 1));
        }
        return Value::map(std::move(entries));
      }
      case Ex::attribute:
        if (is_loop(*e.parts[0])) return loop_member(loops_, e.name);
        return attribute_of(part(0), e.name);
      case Ex::item: {
        if (is_loop(*e.parts[0])) {
          const Value name = part(1);
          return loop_member(loops_, name.is_string() ? name.text() : "");
        }
        const Value whole = part(0);
        return item_of(whole, part(1));
      }
      case Ex::slice: {
        const Value whole = part(0);
        const auto bound = [&](size_t i) { return e.parts[i] ? part(i) : Value(); };
        const Value begin = bound(1), end = bound(2);
        return slice_of(whole, begin, end, bound(3));
      }
      case Ex::call: {
        const Value callee = part(0);
        const Arguments arguments = arguments_of(e);
        if (callee.is_undefined()) fault("'{}' is undefined", callee.undefined_name());
        if (!callee.is_function()) fault("a {} cannot be called", callee.kind());
        return callee.as_function().call(arguments);
      }
      case Ex::filter: {
        const Value operand = part(0);
        return apply_filter(e.name, operand, arguments_of(e));
      }
      case Ex::test: {
        if (is_loop(*e.parts[0])) return e.name == "defined";
        const Value operand = part(0);
        return apply_test(e.name, operand, arguments_of(e));
      }
      default:
        return operated(e);
    }
  }

  // What operators make of values.
  Value operated(const Expression& e) {
    const auto part = [&](size_t i) { return evaluate(*e.parts[i]); };
    switch (e.kind) {
      case Ex::negation:
        return !part(0).truth();
      case Ex::minus: {
        const Value operand = part(0);
        if (operand.is_float()) return -operand.number();
        return arithmetic("-", 0, operand);
      }
      case Ex::plus:
        return arithmetic("+", 0, part(0));
      case Ex::binary: {
        const Value left = part(0);
        const Value right = part(1);
        if (e.name == "%" && left.is_string()) fault("formatting by % is not supported");
        return arithmetic(e.name, left, right);
      }
      case Ex::concat: {
        std::string text;
        for (const ExpressionPointer& piece : e.parts) text += evaluate(*piece).str();
        return Value(std::move(text));
      }
      case Ex::comparison:
        return compared(e);
      case Ex::conjunction: {
        Value left = part(0);
        return left.truth() ? part(1) : left;
      }
      case Ex::disjunction: {
        Value left = part(0);
        return left.truth() ? left : part(1);
      }
      case Ex::conditional:
        if (part(1).truth()) return part(0);
        return e.parts[2] ? part(2) : Value::undefined("the other side of an if");
      default:
        fault("an expression of no kind");
    }
  }

  Value compared(const Expression& e) {
    Value left = evaluate(*e.parts[0]);
    for (size_t i = 0; i < e.signs.size(); ++i) {
      Value right = evaluate(*e.parts[i + 1]);
      const std::string& sign = e.signs[i];
      bool holds = false;
      if (sign == "==") {
        holds = left == right;
      } else if (sign == "!=") {
        holds = !(left == right);
      } else if (sign == "in") {
        holds = contains(right, left);
      } else if (sign == "not in") {
        holds = !contains(right, left);
      } else {
        const int order = compare(left, right);
        holds = sign == "<"    ? order < 0
                : sign == ">"  ? order > 0
                : sign == "<=" ? order <= 0
                               : order >= 0;
      }
      if (!holds) return false;
      left = std::move(right);
    }
    return true;
  }

  const std::string& name_;
  const RenderLimits& limits_;
  Names names_;
  std::vector<Loop> loops_;
  std::string out_;
  size_t written_ = 0;
  int64_t steps_ = 0;
  int calls_ = 0;
};

}  // namespace

Template::Template(const std::string& source, std::string name)
    : name_(std::move(name)), nodes_(parse(source, name_)) {}

std::string Template::render(const Variables& variables, const std::tm& now,
                             const RenderLimits& limits) const {
  try {
    return Interpreter(name_, variables, now, limits).run(nodes_);
  } catch (const Fault& fault) {  // of a value that came from outside
    fail_request(SourceLocation{name_}, fmt::format("chat template: {}", fault.what()));
  }
}

}  // namespace heed::data::chat
