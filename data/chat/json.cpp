#include <algorithm>
#include <cmath>

#include "data/chat/value.h"
#include "data/unicode.h"

namespace heed::data::chat {
namespace {

std::string json_text(const std::string& text, bool ascii) {
  std::string made = "\"";
  for_each_code_point(text, [&](int32_t c, std::string_view bytes) {
    switch (c) {
      case '"':
        made += "\\\"";
        return;
      case '\\':
        made += "\\\\";
        return;
      case '\n':
        made += "\\n";
        return;
      case '\r':
        made += "\\r";
        return;
      case '\t':
        made += "\\t";
        return;
      case '\b':
        made += "\\b";
        return;
      case '\f':
        made += "\\f";
        return;
      default:
        break;
    }
    if (c < 0x20 || (ascii && c > 0x7E && c < 0x10000)) {
      made += fmt::format("\\u{:04x}", c);
    } else if (ascii && c >= 0x10000) {
      const int32_t rest = c - 0x10000;
      made += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    } else {
      made += bytes;
    }
  });
  made += '"';
  return made;
}

std::string json_key(const Value& key, bool ascii) {
  if (key.is_string()) return json_text(key.text(), ascii);
  if (key.is_none()) return "\"null\"";
  if (key.is_bool()) return key.truth() ? "\"true\"" : "\"false\"";
  if (key.is_number()) return json_text(key.str(), ascii);
  fault("a {} cannot be a key of JSON", key.kind());
}

void append_json(const Value& value, int64_t indent, int64_t level, bool ascii, bool sort_keys,
                 std::string& out) {
  const auto line = [&](int64_t to) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent * to), ' ');
  };
  const char* comma = indent >= 0 ? "," : ", ";
  if (value.is_none()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.truth() ? "true" : "false";
  } else if (value.is_string()) {
    out += json_text(value.text(), ascii);
  } else if (value.is_float() && !std::isfinite(value.number())) {
    out += std::isnan(value.number()) ? "NaN" : value.number() < 0 ? "-Infinity" : "Infinity";
  } else if (value.is_number()) {
    out += value.str();
  } else if (value.is_list()) {
    out += "[";
    for (size_t i = 0; i < value.items().size(); ++i) {
      if (i > 0) out += comma;
      line(level + 1);
      append_json(value.items()[i], indent, level + 1, ascii, sort_keys, out);
    }
    if (!value.items().empty()) line(level);
    out += "]";
  } else if (value.is_map()) {
    std::vector<std::pair<Value, Value>> entries = value.entries();
    if (sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto& a, const auto& b) { return compare(a.first, b.first) < 0; });
    }
    out += "{";
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out += comma;
      line(level + 1);
      out += json_key(entries[i].first, ascii);
      out += ": ";
      append_json(entries[i].second, indent, level + 1, ascii, sort_keys, out);
    }
    if (!entries.empty()) line(level);
    out += "}";
  } else {
    fault("tojson: a {} has no form in JSON", value.kind());
  }
  if (out.size() > kMostText) fault("tojson: the text is too long");
}

}  // namespace

std::string to_json(const Value& value, int64_t indent, bool ascii, bool sort_keys) {
  std::string out;
  append_json(value, std::min<int64_t>(indent, 100), 0, ascii, sort_keys, out);
  return out;
}

}  // namespace heed::data::chat
