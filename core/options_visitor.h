// What the three visitors behind core/options.h share.
#pragma once

#include "core/options.h"

namespace heed::detail {

// One implementation of every visit() in terms of `value<T>(name, value, doc, rule)`.
template <class Visitor>
class OptionsOf : public Options {
 public:
  void visit(const char* n, bool& v, const char* d, const Rule& r) override { go(n, v, d, r); }
  void visit(const char* n, int64_t& v, const char* d, const Rule& r) override { go(n, v, d, r); }
  void visit(const char* n, double& v, const char* d, const Rule& r) override { go(n, v, d, r); }
  void visit(const char* n, std::string& v, const char* d, const Rule& r) override {
    go(n, v, d, r);
  }
  void visit(const char* n, std::vector<int64_t>& v, const char* d, const Rule& r) override {
    go(n, v, d, r);
  }
  void visit(const char* n, std::vector<double>& v, const char* d, const Rule& r) override {
    go(n, v, d, r);
  }
  void visit(const char* n, std::vector<std::string>& v, const char* d, const Rule& r) override {
    go(n, v, d, r);
  }
  void visit(const char* n, std::optional<int64_t>& v, const char* d, const Rule& r) override {
    go(n, v, d, r);
  }
  void visit(const char* n, std::optional<double>& v, const char* d, const Rule& r) override {
    go(n, v, d, r);
  }
  void visit(const char* n, std::optional<std::string>& v, const char* d, const Rule& r) override {
    go(n, v, d, r);
  }
  void visit(const char* n, Config& v, const char* d, const Rule& r) override { go(n, v, d, r); }

 private:
  template <class T>
  void go(const char* name, T& value, const char* doc, const Rule& rule) {
    static_cast<Visitor*>(this)->value(name, value, doc, rule);
  }
};

/// A field's value as a Config; an empty optional is null.
template <class T>
Config to_config(const T& value) {
  return Config(value);
}
template <class T>
Config to_config(const std::optional<T>& value) {
  return value ? Config(*value) : Config();
}
template <class T>
Config to_config(const std::vector<T>& values) {
  return Config(Config::List(values.begin(), values.end()));
}

}  // namespace heed::detail
