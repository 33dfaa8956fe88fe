// Config to YAML text.
#include <algorithm>
#include <string_view>

#include "core/config.h"
#include "core/text.h"
#include "core/yaml_scalar.h"

namespace heed {
namespace {

bool is_plain_safe(const std::string& text) {
  const auto word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '/' || c == '.';
  };
  if (text.empty() || !word(text.front()) || text.back() == ' ') return false;
  if (text.starts_with("...")) return false;
  const auto safe = [&](char c) { return word(c) || std::string_view("+-*^=()@ ").find(c) < 9; };
  if (!std::all_of(text.begin(), text.end(), safe)) return false;
  try {
    return resolve_yaml_scalar(text, {}).is_string();
  } catch (const RequestError&) {
    return false;  // a number out of range
  }
}

void write_string(const std::string& text, std::string& out) {
  if (is_plain_safe(text)) {
    out += text;
    return;
  }
  out += '"';
  for (char c : to_valid_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

void write_scalar(const Config& value, std::string& out) {
  if (value.is_string()) {
    write_string(value.as_string(), out);
  } else if (value.is_number() && !value.is_integer()) {
    const std::string number = shortest_number(value.as_number());
    if (number == "nan" || number == "inf") out += '.';
    out += number == "-inf" ? "-.inf" : number;
  } else if (value.is_list()) {
    out += "[]";
  } else if (value.is_map()) {
    out += "{}";
  } else {
    out += value.to_json();
  }
}

// What stands on one line: scalars, empty lists and maps, short lists of scalars.
bool write_inline(const Config& value, std::string& out) {
  if (value.is_map() && !value.as_map().empty()) return false;
  if (!value.is_list() || value.as_list().empty()) {
    write_scalar(value, out);
    return true;
  }
  constexpr size_t kMaxWidth = 80;
  std::string line = "[";
  for (const Config& item : value.as_list()) {
    const bool scalar = !item.is_list() && !item.is_map();
    if (!scalar || line.size() > kMaxWidth) return false;
    if (line.size() > 1) line += ", ";
    write_scalar(item, line);
  }
  if (line.size() >= kMaxWidth) return false;
  out += line + "]";
  return true;
}

// "key:", or "? key" and ":" on the next line for one beyond the 1024 characters that YAML gives
// the short form (section 7.4.2).
void write_key(const std::string& key, size_t indent, std::string& out) {
  constexpr size_t kMaxShort = 1000;
  const size_t start = out.size();
  write_string(key, out);
  if (out.size() - start > kMaxShort) {
    out.insert(start, "? ");
    out += '\n';
    out.append(indent, ' ');
  }
  out += ':';
}

void write_block(const Config& value, size_t indent, std::string& out) {
  const auto nested = [&](const Config& item, bool in_list) {
    out += ' ';
    if (write_inline(item, out)) {
      out += '\n';
    } else if (in_list) {  // "- key: value", the first member on the line of the dash
      const size_t start = out.size();
      write_block(item, indent + 2, out);
      out.erase(start, indent + 2);
    } else {
      out.back() = '\n';
      write_block(item, indent + 2, out);
    }
  };
  if (value.is_list()) {
    for (const Config& item : value.as_list()) {
      out.append(indent, ' ');
      out += '-';
      nested(item, true);
    }
  } else {
    for (const auto& [key, item] : value.as_map()) {
      out.append(indent, ' ');
      write_key(key, indent, out);
      nested(item, false);
    }
  }
}

}  // namespace

std::string Config::to_yaml() const {
  std::string out;
  if (write_inline(*this, out)) return out + "\n";
  write_block(*this, 0, out);
  return out;
}

}  // namespace heed
