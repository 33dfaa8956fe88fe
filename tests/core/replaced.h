// What a test replaces of its process while it lives: environment variables.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace heed {

/// An environment variable with another value, or without one, until this goes.
class ReplacedVariable {
 public:
  explicit ReplacedVariable(std::string name, const std::optional<std::string>& value = {})
      : name_(std::move(name)) {
    if (const char* before = std::getenv(name_.c_str())) before_ = before;
    set(value);
  }
  ~ReplacedVariable() { set(before_); }
  ReplacedVariable(const ReplacedVariable&) = delete;
  ReplacedVariable& operator=(const ReplacedVariable&) = delete;

 private:
  void set(const std::optional<std::string>& value) const {
    if (value) {
      setenv(name_.c_str(), value->c_str(), 1);
    } else {
      unsetenv(name_.c_str());
    }
  }

  std::string name_;
  std::optional<std::string> before_;
};

}  // namespace heed
