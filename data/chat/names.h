// Names and their values while a template runs: the template's own, and those of what is within.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/chat/value.h"

namespace heed::data::chat {

class Names {
 public:
  using Scope = std::vector<std::pair<std::string, Value>>;

  explicit Names(Scope own) { scopes_.push_back(std::move(own)); }

  /// In the innermost scope.
  void set(const std::string& name, Value value) {
    for (auto& [own, old] : scopes_.back()) {
      if (own == name) {
        old = std::move(value);
        return;
      }
    }
    scopes_.back().emplace_back(name, std::move(value));
  }

  /// Undefined where it is not there.
  Value look_up(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      for (const auto& [own, value] : *scope) {
        if (own == name) return value;
      }
    }
    return Value::undefined(name);
  }

  void enter() { scopes_.emplace_back(); }
  void leave() { scopes_.pop_back(); }

  /// A macro sees the template's own names, and none of its caller's, which come back when it ends.
  std::vector<Scope> enter_macro() {
    std::vector<Scope> callers(2);
    callers.front().swap(scopes_.front());
    scopes_.swap(callers);
    return callers;
  }
  void leave_macro(std::vector<Scope> callers) {
    scopes_.swap(callers);
    scopes_.front().swap(callers.front());
  }

 private:
  std::vector<Scope> scopes_;  ///< the template's own names first
};

}  // namespace heed::data::chat
