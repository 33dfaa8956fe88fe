#include <algorithm>
#include <cmath>
#include <span>

#include "core/options_visitor.h"

namespace heed::detail {
namespace {

// Reads a map into the fields. Type errors are thrown where they are met; missing fields and broken
// checks wait until the unknown keys have been looked for, since a mistyped key causes both.
class Reader : public OptionsOf<Reader> {
 public:
  explicit Reader(std::string what) : what_(std::move(what)) {}

  void begin(const Config& config, const std::vector<std::string>& ignore) {
    push(&config, config.where(), "");
    frames_.back().known = ignore;
    frames_.back().ignored = ignore.size();
  }
  void end() { leave(); }

  template <class T>
  void value(const char* name, T& value, const char*, const Rule& rule) {
    if (const Config* given = look_up(name, rule.required)) {
      read(*given, path_of(name), rule, value);
    }
  }

  void check(bool holds, const char* field, const std::string& message) override {
    if (holds) return;
    Frame& frame = frames_.back();
    const Config* given = frame.map == nullptr ? nullptr : frame.map->find(field);
    frame.broken.keep_first({given == nullptr ? frame.where : given->where(), message});
  }

 protected:
  void enter(const char* name, const char*, const Rule& rule) override {
    const Config* given = look_up(name, rule.required);
    push(given, given == nullptr ? frames_.back().where : given->where(), path_of(name));
  }

  void leave() override {
    const Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (frame.map != nullptr) check_keys(frame);
    if (!frames_.empty()) {
      frames_.back().missing.keep_first(frame.missing);
      frames_.back().broken.keep_first(frame.broken);
      return;
    }
    for (const Fault& fault : {frame.missing, frame.broken}) {
      if (!fault.message.empty()) reject(fault.where, fault.message);
    }
  }

  Items enter_list(const char* name, const char*, size_t* count) override {
    const Config* given = look_up(name, false);
    const std::string path = path_of(name);
    if (given != nullptr && !given->is_list()) reject_kind(*given, path, "a list");
    lists_.push_back({given, path});
    if (given == nullptr) return Items::keep;
    *count = given->as_list().size();
    return Items::replace;
  }

  void enter_item() override {
    List& list = lists_.back();
    const Config& item = list.given->as_list()[list.next];
    push(&item, item.where(), fmt::format("{}[{}]", list.path, list.next));
    ++list.next;
  }

  void leave_list() override { lists_.pop_back(); }

 private:
  struct Fault {
    SourceLocation where;
    std::string message;

    void keep_first(const Fault& other) {
      if (message.empty()) *this = other;
    }
  };
  struct Frame {
    const Config* map;  // null when absent: every field keeps its default
    SourceLocation where;
    std::string path;                // "optimizer.groups[2]"; empty at the top
    std::vector<std::string> known;  // keys seen so far
    size_t ignored = 0;              // how many of them, at the front, belong to the caller
    Fault missing;
    Fault broken;
  };
  struct List {
    const Config* given;
    std::string path;
    size_t next = 0;
  };

  [[noreturn]] void reject(const SourceLocation& where, const std::string& message) const {
    fail_request(where, what_.empty() ? message : what_ + ": " + message);
  }

  [[noreturn]] void reject_kind(const Config& given, const std::string& path,
                                const std::string& wanted) const {
    reject(given.where(), fmt::format("'{}' must be {}, got {}", path, wanted, given.summary()));
  }

  std::string path_of(const std::string& name) const {
    const std::string& prefix = frames_.back().path;
    return prefix.empty() ? name : prefix + "." + name;
  }

  void push(const Config* map, const SourceLocation& where, const std::string& path) {
    if (map != nullptr && !map->is_map() && !map->is_null()) {
      if (path.empty()) {
        reject(map->where(), fmt::format("a map is wanted here, got {}", map->summary()));
      }
      reject_kind(*map, path, "a map");
    }
    frames_.push_back({map, where, path, {}, 0, {}, {}});
  }

  const Config* look_up(const char* name, bool required) {
    Frame& frame = frames_.back();
    frame.known.emplace_back(name);
    const Config* given = frame.map == nullptr ? nullptr : frame.map->find(name);
    if (given == nullptr && required) {
      frame.missing.keep_first({frame.where, fmt::format("'{}' is missing", path_of(name))});
    }
    return given;
  }

  void check_keys(const Frame& frame) const {
    for (const std::string& key : frame.map->keys()) {
      if (std::find(frame.known.begin(), frame.known.end(), key) != frame.known.end()) continue;
      constexpr size_t kShort = 12;
      std::string hint = did_you_mean(key, frame.known);
      const std::span<const std::string> own(
          frame.known.begin() + static_cast<std::ptrdiff_t>(frame.ignored), frame.known.end());
      if (own.empty()) {
        hint += "; it has no options";
      } else if (own.size() <= kShort) {
        hint += fmt::format("; known: {}", fmt::join(own, ", "));
      }
      const std::string path = frame.path.empty() ? key : frame.path + "." + key;
      reject(frame.map->find(key)->key_where(), fmt::format("unknown key '{}'{}", path, hint));
    }
  }

  void check_number(const Config& given, double value, const std::string& path,
                    const Rule& rule) const {
    const auto demand = [&](bool holds, const char* sign, double limit) {
      if (holds) return;
      reject(given.where(),
             fmt::format("'{}' must be {} {}, got {}", path, sign, limit, given.to_json()));
    };
    if (rule.min) demand(value >= *rule.min, ">=", *rule.min);
    if (rule.max) demand(value <= *rule.max, "<=", *rule.max);
    if (rule.above) demand(value > *rule.above, ">", *rule.above);
    if (rule.below) demand(value < *rule.below, "<", *rule.below);
  }

  void read(const Config& given, const std::string& path, const Rule&, bool& value) const {
    if (!given.is_bool()) reject_kind(given, path, "true or false");
    value = given.as_bool();
  }

  void read(const Config& given, const std::string& path, const Rule& rule, int64_t& value) const {
    if (!given.is_number()) reject_kind(given, path, "an integer");
    if (given.is_integer()) {
      value = given.as_integer();
    } else {
      constexpr double kExact = 9007199254740992.0;  // 2^53: whole doubles are exact up to here
      const double number = given.as_number();
      if (number != std::trunc(number) || std::abs(number) > kExact) {
        reject_kind(given, path, "an integer");
      }
      value = static_cast<int64_t>(number);
    }
    check_number(given, static_cast<double>(value), path, rule);
  }

  void read(const Config& given, const std::string& path, const Rule& rule, double& value) const {
    if (!given.is_number()) reject_kind(given, path, "a number");
    value = given.as_number();
    check_number(given, value, path, rule);
  }

  void read(const Config& given, const std::string& path, const Rule& rule,
            std::string& value) const {
    if (!given.is_string()) {
      const bool scalar = given.is_number() || given.is_bool();
      reject_kind(given, path, scalar ? "a string (quote it)" : "a string");
    }
    value = given.as_string();
    const auto& allowed = rule.one_of;
    if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
      reject(given.where(),
             fmt::format("'{}' must be one of {}; got '{}'{}", path, fmt::join(allowed, ", "),
                         value, did_you_mean(value, allowed)));
    }
  }

  void read(const Config& given, const std::string&, const Rule&, Config& value) const {
    value = given;
  }

  template <class T>
  void read(const Config& given, const std::string& path, const Rule& rule,
            std::optional<T>& value) const {
    if (given.is_null()) {
      value.reset();
    } else {
      read(given, path, rule, value.emplace());
    }
  }

  template <class T>
  void read(const Config& given, const std::string& path, const Rule& rule,
            std::vector<T>& value) const {
    if (!given.is_list()) reject_kind(given, path, "a list");
    const Config::List& items = given.as_list();
    value.assign(items.size(), T{});
    for (size_t i = 0; i < items.size(); ++i) {
      read(items[i], fmt::format("{}[{}]", path, i), rule, value[i]);
    }
  }

  std::string what_;
  std::vector<Frame> frames_;
  std::vector<List> lists_;
};

}  // namespace

void read_fields(const Config& config, const std::string& what,
                 const std::vector<std::string>& ignore,
                 const std::function<void(Options&)>& fields) {
  Reader reader(what);
  reader.begin(config, ignore);
  fields(reader);
  reader.end();
}

}  // namespace heed::detail
