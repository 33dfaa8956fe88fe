#include "data/chat/globals.h"

#include <array>
#include <string_view>

namespace heed::data::chat {
namespace {

constexpr int64_t kMostRange = 100'000;  // as Jinja's sandbox

Value raise_exception(const Arguments& a) {
  fault("{}", a.positional.empty() ? "it refuses the conversation" : a.positional[0].str());
}

Value formatted_time(const Arguments& a, const std::tm& now) {
  if (a.positional.size() != 1 || !a.positional[0].is_string()) {
    fault("strftime_now takes a format");
  }
  const std::string& format = a.positional[0].text();
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
  const size_t size = std::strftime(text.data(), text.size(), format.c_str(), &now);
  return std::string(text.data(), size);
}

Value make_namespace(const Arguments& a) {
  std::vector<std::pair<std::string, Value>> entries;
  for (const Value& from : a.positional) {
    if (!from.is_map()) fault("namespace takes dicts and named values");
    for (const auto& [key, value] : from.entries()) entries.emplace_back(key.str(), value);
  }
  for (const auto& [key, value] : a.named) entries.emplace_back(key, value);
  return Value::make_namespace(std::move(entries));
}

Value make_dict(const Arguments& a) {
  std::vector<std::pair<Value, Value>> entries;
  for (const Value& from : a.positional) {
    if (!from.is_map()) fault("dict takes dicts and named values");
    entries.insert(entries.end(), from.entries().begin(), from.entries().end());
  }
  for (const auto& [key, value] : a.named) entries.emplace_back(Value(key), value);
  return Value::map(std::move(entries));
}

Value range(const Arguments& a) {
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
}

}  // namespace

std::vector<std::pair<std::string, Value>> global_names(const std::tm& now) {
  std::vector<std::pair<std::string, Value>> names;
  const auto define = [&](const char* name, std::function<Value(const Arguments&)> call) {
    names.emplace_back(name, Value::function(name, std::move(call)));
  };
  define("raise_exception", raise_exception);
  define("strftime_now", [&now](const Arguments& a) { return formatted_time(a, now); });
  define("namespace", make_namespace);
  define("dict", make_dict);
  define("range", range);
  return names;
}

}  // namespace heed::data::chat
