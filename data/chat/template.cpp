#include "data/chat/template.h"

#include <algorithm>
#include <array>
#include <optional>

#include "data/chat/builtins.h"
#include "data/chat/parser.h"

namespace heed::data::chat {
namespace {

using Ex = Expression::Kind;
using Scope = std::vector<std::pair<std::string, Value>>;

constexpr int kMostCalls = 30;           // of macros within macros
constexpr int64_t kMostRange = 100'000;  // as Jinja's sandbox

// What a loop tells its body.
struct Loop {
  const Values* items = nullptr;
  size_t at = 0;
  std::optional<Values> last_changed;
};

class Interpreter {
 public:
  Interpreter(const std::string& name, const Template::Variables& variables, const std::tm& now,
              const RenderLimits& limits)
      : name_(name), now_(now), limits_(limits) {
    scopes_.emplace_back();
    define_globals();
    for (const auto& [variable, value] : variables) set(variable, value);
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

  void define_globals() {
    Scope& globals = scopes_.front();
    const auto define = [&](const char* name, std::function<Value(const Arguments&)> call) {
      globals.emplace_back(name, Value::function(name, std::move(call)));
    };
    define("raise_exception", [](const Arguments& a) -> Value {
      fault("{}", a.positional.empty() ? "it refuses the conversation" : a.positional[0].str());
    });
    define("strftime_now", [this](const Arguments& a) -> Value {
      if (a.positional.size() != 1 || !a.positional[0].is_string())
        fault("strftime_now takes a format");
      return formatted_time(a.positional[0].text());
    });
    define("namespace", [](const Arguments& a) -> Value {
      Scope entries;
      for (const Value& from : a.positional) {
        if (!from.is_map()) fault("namespace takes dicts and named values");
        for (const auto& [key, value] : from.entries()) entries.emplace_back(key.str(), value);
      }
      for (const auto& [key, value] : a.named) entries.emplace_back(key, value);
      return Value::make_namespace(std::move(entries));
    });
    define("dict", [](const Arguments& a) -> Value {
      std::vector<std::pair<Value, Value>> entries;
      for (const Value& from : a.positional) {
        if (!from.is_map()) fault("dict takes dicts and named values");
        entries.insert(entries.end(), from.entries().begin(), from.entries().end());
      }
      for (const auto& [key, value] : a.named) entries.emplace_back(Value(key), value);
      return Value::map(std::move(entries));
    });
    define("range", [](const Arguments& a) -> Value {
      const Values& given = a.positional;
      if (given.empty() || given.size() > 3) fault("range takes one to three integers");
      const int64_t begin = given.size() > 1 ? given[0].integer("a bound") : 0;
      const int64_t end = given[given.size() > 1 ? 1 : 0].integer("a bound");
      const int64_t by = given.size() > 2 ? given[2].integer("a step") : 1;
      if (by == 0) fault("a range's step is 0");
      Values items;
      for (__int128 i = begin; by > 0 ? i < end : i > end; i += by) {
        if (std::ssize(items) >= kMostRange) fault("a range is longer than {}", kMostRange);
        items.emplace_back(static_cast<int64_t>(i));
      }
      return Value::list(std::move(items));
    });
  }

  Value formatted_time(const std::string& format) const {
    if (format.size() > 256) fault("strftime_now: the format is too long");
    constexpr std::string_view kKnown = "aAbBcdDeFgGhHIjklmMnprRsStTuUVwWxXyYzZ%";
    for (size_t i = 0; i < format.size(); ++i) {
      if (format[i] != '%') continue;
      size_t at = i + 1;
      if (at < format.size() && (format[at] == '-' || format[at] == '_')) ++at;
      if (at >= format.size() || kKnown.find(format[at]) == std::string_view::npos) {
        fault("strftime_now: the format '{}' is not supported", format);
      }
      i = at;
    }
    std::array<char, 4096> text{};
    const size_t size = std::strftime(text.data(), text.size(), format.c_str(), &now_);
    return std::string(text.data(), size);
  }

  // Names.
  void set(const std::string& name, Value value) {
    for (auto& [own, old] : scopes_.back()) {
      if (own == name) {
        old = std::move(value);
        return;
      }
    }
    scopes_.back().emplace_back(name, std::move(value));
  }
  Value look_up(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      for (const auto& [own, value] : *scope) {
        if (own == name) return value;
      }
    }
    return Value::undefined(name);
  }
  bool is_loop(const Expression& e) const {
    if (e.kind != Ex::name || e.name != "loop" || loops_.empty()) return false;
    return look_up("loop").is_undefined();
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
      scopes_.emplace_back();
      std::string text = captured(node.body);
      scopes_.pop_back();
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
      set(target.name, std::move(value));
      return;
    }
    const Value space = look_up(target.name);
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
        scopes_.emplace_back();
        bind(item);
        if (evaluate(*node.condition).truth()) kept.push_back(item);
        scopes_.pop_back();
      }
      items = std::move(kept);
    }
    if (items.empty()) {
      scopes_.emplace_back();
      const Flow flow = execute(node.otherwise);
      scopes_.pop_back();
      return flow;
    }
    loops_.push_back({&items, 0, {}});
    for (size_t i = 0; i < items.size(); ++i) {
      step(node.line, node.column);
      loops_.back().at = i;
      scopes_.emplace_back();
      bind(items[i]);
      const Flow flow = execute(node.body);
      scopes_.pop_back();
      if (flow == Flow::leave) break;
    }
    loops_.pop_back();
    return Flow::on;
  }

  void define_macro(const Node& node) {
    set(node.text, Value::function(node.text, [this, &node](const Arguments& given) {
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
    std::vector<Scope> scopes = {scopes_.front()};
    scopes.emplace_back();
    scopes_.swap(scopes);
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
      set(parameter.name, std::move(value));
    }
    std::string text = captured(node.body);
    scopes_.swap(scopes);
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
        return look_up(e.name);
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
        if (is_loop(*e.parts[0])) return loop_member(e.name);
        return attribute_of(part(0), e.name);
      case Ex::item: {
        if (is_loop(*e.parts[0])) {
          const Value name = part(1);
          return loop_member(name.is_string() ? name.text() : "");
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
    }
    return {};
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

  Value loop_member(const std::string& name) {
    Loop& loop = loops_.back();
    const auto at = static_cast<int64_t>(loop.at), size = std::ssize(*loop.items);
    if (name == "index") return at + 1;
    if (name == "index0") return at;
    if (name == "revindex") return size - at;
    if (name == "revindex0") return size - at - 1;
    if (name == "first") return at == 0;
    if (name == "last") return at + 1 == size;
    if (name == "length") return size;
    if (name == "depth") return 1;  // of recursive loops, which there are none of
    if (name == "depth0") return 0;
    if (name == "previtem") {
      return at > 0 ? (*loop.items)[loop.at - 1] : Value::undefined("loop.previtem");
    }
    if (name == "nextitem") {
      return at + 1 < size ? (*loop.items)[loop.at + 1] : Value::undefined("loop.nextitem");
    }
    if (name == "cycle") {
      return Value::function(name, [at](const Arguments& a) {
        if (a.positional.empty()) fault("loop.cycle needs values");
        return a.positional[static_cast<size_t>(at) % a.positional.size()];
      });
    }
    if (name == "changed") {
      return Value::function(name, [this](const Arguments& a) -> Value {
        if (loops_.empty()) fault("loop.changed outside its loop");
        const bool changed = loops_.back().last_changed != a.positional;
        loops_.back().last_changed = a.positional;
        return changed;
      });
    }
    return Value::undefined(fmt::format("loop.{}", name));
  }

  const std::string& name_;
  const std::tm& now_;
  const RenderLimits& limits_;
  std::vector<Scope> scopes_;  ///< the template's own names first
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
