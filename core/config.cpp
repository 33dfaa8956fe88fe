#include "core/config.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/text.h"

namespace heed {
namespace {

[[noreturn]] void fail_kind(const Config& value, const char* wanted) {
  fail_request(value.where(), fmt::format("expected {}, got {}", wanted, value.summary()));
}

bool equal_numbers(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

bool equal_maps(const Config& a, const Config& b) {
  const Config::Map& x = a.as_map();
  const Config::Map& y = b.as_map();
  if (x.size() != y.size()) return false;
  return std::all_of(x.begin(), x.end(), [&, i = size_t{0}](const auto& member) mutable {
    const auto& same_place = y[i++];
    if (same_place.first == member.first) return same_place.second == member.second;
    const Config* other = b.find(member.first);
    return other != nullptr && *other == member.second;
  });
}

}  // namespace

const char* Config::kind() const {
  static constexpr const char* kNames[] = {"null",   "bool", "integer", "number",
                                           "string", "list", "map"};
  return kNames[value_.index()];
}

std::string Config::summary() const {
  if (is_null()) return "null";
  if (is_list() || is_map()) return fmt::format("a {}", kind());
  if (is_number() && !is_integer()) return "number " + shortest_number(as_number());
  if (!is_string()) return fmt::format("{} {}", kind(), to_json());
  constexpr size_t kShown = 60;
  const std::string& text = as_string();
  if (text.size() <= kShown) return fmt::format("string '{}'", text);
  return fmt::format("string '{}...'", text.substr(0, kShown));
}

bool Config::as_bool() const {
  if (!is_bool()) fail_kind(*this, "true or false");
  return std::get<bool>(value_);
}

int64_t Config::as_integer() const {
  if (!is_integer()) fail_kind(*this, "an integer");
  return std::get<int64_t>(value_);
}

double Config::as_number() const {
  if (!is_number()) fail_kind(*this, "a number");
  return is_integer() ? static_cast<double>(std::get<int64_t>(value_)) : std::get<double>(value_);
}

const std::string& Config::as_string() const {
  if (!is_string()) fail_kind(*this, "a string");
  return std::get<std::string>(value_);
}

const Config::List& Config::as_list() const {
  if (!is_list()) fail_kind(*this, "a list");
  return std::get<List>(value_);
}

const Config::Map& Config::as_map() const {
  if (!is_map()) fail_kind(*this, "a map");
  return std::get<Map>(value_);
}

const Config* Config::find(const std::string& key) const {
  if (!is_map()) return nullptr;
  for (const auto& [name, value] : std::get<Map>(value_)) {
    if (name == key) return &value;
  }
  return nullptr;
}

Config* Config::find(const std::string& key) {
  return const_cast<Config*>(std::as_const(*this).find(key));
}

std::vector<std::string> Config::keys() const {
  std::vector<std::string> names;
  if (!is_map()) return names;
  for (const auto& [name, value] : std::get<Map>(value_)) names.push_back(name);
  return names;
}

const Config& Config::at(const std::string& key) const {
  as_map();
  if (const Config* value = find(key)) return *value;
  fail_request(where_, fmt::format("'{}' is missing{}", key, did_you_mean(key, keys())));
}

Config& Config::set(const std::string& key, Config value) {
  if (is_null()) value_ = Map{};
  as_map();
  if (Config* old = find(key)) return *old = std::move(value);
  return std::get<Map>(value_).emplace_back(key, std::move(value)).second;
}

void Config::add(std::string key, Config value) {
  std::get<Map>(value_).emplace_back(std::move(key), std::move(value));
}

void Config::erase(const std::string& key) {
  if (is_map()) {
    std::erase_if(std::get<Map>(value_), [&](const auto& member) { return member.first == key; });
  }
}

void Config::append(Config value) {
  if (is_null()) value_ = List{};
  as_list();
  std::get<List>(value_).push_back(std::move(value));
}

bool Config::operator==(const Config& other) const {
  if (is_number() && other.is_number()) {
    if (is_integer() && other.is_integer()) return value_ == other.value_;
    return equal_numbers(as_number(), other.as_number());
  }
  if (value_.index() != other.value_.index()) return false;
  return is_map() ? equal_maps(*this, other) : value_ == other.value_;
}

}  // namespace heed
