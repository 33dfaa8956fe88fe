// YAML text <-> Config. yaml-cpp does the syntax and reports events; scalars are resolved here by
// the core schema of YAML 1.2 (section 10.3.2).
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <locale>
#include <map>
#include <sstream>
#include <unordered_map>

#include "core/config.h"
#include "core/files.h"
#include "core/text.h"

namespace heed {
namespace {

constexpr size_t kMaxExpansionBytes = size_t{16} << 20;
constexpr const char* kTagPrefix = "tag:yaml.org,2002:";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool parse_integer(std::string_view text, int64_t* value, const SourceLocation& where) {
  std::string_view digits = text;
  bool negative = false;
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0o")) {
    base = digits[1] == 'x' ? 16 : 8;
    digits.remove_prefix(2);
  } else if (digits.starts_with('-') || digits.starts_with('+')) {
    negative = digits[0] == '-';
    digits.remove_prefix(1);
  }
  if (digits.empty() || digits[0] == '-') return false;
  uint64_t magnitude = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, magnitude, base);
  if (stop != end) return false;
  const uint64_t limit = uint64_t{1} << 63;
  if (error != std::errc() || magnitude > limit || (magnitude == limit && !negative)) {
    fail_request(where, fmt::format("the integer {} does not fit into 64 bits (quote it to make "
                                    "it a string)",
                                    text));
  }
  *value = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
  return true;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool looks_like_float(std::string_view text) {
  size_t i = 0;
  const auto sign = [&] { i += i < text.size() && (text[i] == '-' || text[i] == '+'); };
  const auto digits = [&] {
    const size_t start = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i - start;
  };
  sign();
  const size_t whole = digits();
  size_t fraction = 0;
  if (i < text.size() && text[i] == '.') {
    ++i;
    fraction = digits();
  }
  if (whole + fraction == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    sign();
    if (digits() == 0) return false;
  }
  return i == text.size();
}

bool parse_number(std::string_view text, double* value, const SourceLocation& where) {
  const bool negative = text.starts_with('-');
  std::string_view rest = text;
  if (negative || text.starts_with('+')) rest.remove_prefix(1);
  if (rest == ".inf" || rest == ".Inf" || rest == ".INF") {
    *value = negative ? -HUGE_VAL : HUGE_VAL;
    return true;
  }
  if (text == ".nan" || text == ".NaN" || text == ".NAN") {
    *value = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if (!looks_like_float(text)) return false;
  double parsed = 0;
  const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), parsed);
  if (error == std::errc::result_out_of_range) {  // which does not tell overflow from underflow
    std::istringstream stream{std::string(rest)};
    stream.imbue(std::locale::classic());
    stream >> parsed;  // the largest double, or nearly 0
    if (parsed > 1) {
      fail_request(where, fmt::format("the number {} is too large for a double", text));
    }
  }
  *value = negative ? -parsed : parsed;
  return true;
}

// A plain scalar by the core schema.
Config resolve(const std::string& text, const SourceLocation& where) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return Config();
  }
  if (text == "true" || text == "True" || text == "TRUE") return Config(true);
  if (text == "false" || text == "False" || text == "FALSE") return Config(false);
  int64_t integer = 0;
  if (parse_integer(text, &integer, where)) return Config(integer);
  double number = 0;
  if (parse_number(text, &number, where)) return Config(number);
  return Config(text);
}

class Builder : public YAML::EventHandler {
 public:
  explicit Builder(const std::string& name) : name_(name) {}

  Config take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) fail_request(place(mark), "a second document; only one is read");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    // An empty value is reported at the next token; its key says better where it stands.
    SourceLocation where = place(mark);
    if (!frames_.empty() && frames_.back().has_key && frames_.back().key_where.line != where.line) {
      where = frames_.back().key_where;
    }
    finish({Config(), sizeof(Config), 0}, where, anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    const SourceLocation where = place(mark);
    if (wants_key()) return set_key(text, tag == "?", where);
    finish({scalar(text, tag, where), sizeof(Config) + text.size(), 0}, where, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const SourceLocation where = place(mark);
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail_request(where, "an alias inside of what it names");
    expanded_ += found->second.bytes;
    if (expanded_ > kMaxExpansionBytes) {
      fail_request(where,
                   fmt::format("the aliases expand to more than {} MiB", kMaxExpansionBytes >> 20));
    }
    check_nesting(static_cast<int>(frames_.size()) + found->second.height, where);
    Node copy = found->second;
    finish(std::move(copy), where, 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Config::list(), "seq", tag, place(mark), anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Config::map(), "map", tag, place(mark), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  // A value with the memory that a copy takes and the levels of lists and maps in it.
  struct Node {
    Config value;
    size_t bytes = sizeof(Config);
    int height = 0;
  };
  struct Frame {
    Node node;
    SourceLocation where;
    YAML::anchor_t anchor;
    bool has_key = false;
    std::string key;
    SourceLocation key_where;
    std::unordered_map<std::string, SourceLocation> keys;
  };

  SourceLocation place(const YAML::Mark& mark) const {
    return mark.is_null() ? SourceLocation{name_}
                          : SourceLocation{name_, mark.line + 1, mark.column + 1};
  }

  static void check_nesting(int depth, const SourceLocation& where) {
    if (depth > kMaxNesting) fail_request(where, fmt::format("nested deeper than {}", kMaxNesting));
  }

  static Config scalar(const std::string& text, const std::string& tag,
                       const SourceLocation& where) {
    if (tag == "?" || tag.empty()) return resolve(text, where);
    if (tag == "!" || tag == std::string(kTagPrefix) + "str") return Config(text);
    static const std::map<std::string, std::string> kKinds = {
        {"null", "null"}, {"bool", "bool"}, {"int", "integer"}, {"float", "number"}};
    const auto kind = tag.starts_with(kTagPrefix) ? kKinds.find(tag.substr(18)) : kKinds.end();
    if (kind == kKinds.end()) fail_request(where, fmt::format("the tag '{}' is not known", tag));
    Config value = resolve(text, where);
    if (kind->first == "float" && value.is_integer()) value = Config(value.as_number());
    if (value.kind() != kind->second) {
      fail_request(where, fmt::format("the tag !!{} on '{}'", kind->first, text));
    }
    return value;
  }

  bool wants_key() const {
    return !frames_.empty() && frames_.back().node.value.is_map() && !frames_.back().has_key;
  }

  void set_key(const std::string& key, bool plain, const SourceLocation& where) {
    Frame& frame = frames_.back();
    if (plain && key == "<<") {
      fail_request(where, "merge keys ('<<') are not read; write the members out");
    }
    const auto [first, fresh] = frame.keys.try_emplace(key, where);
    if (!fresh) {
      fail_request(where, fmt::format("the key '{}' was already given at {}:{}", key,
                                      first->second.line, first->second.column));
    }
    frame.has_key = true;
    frame.key = key;
    frame.key_where = where;
    frame.node.bytes += key.size() + sizeof(Config::Map::value_type) - sizeof(Config);
  }

  void open(Config value, const char* kind, const std::string& tag, const SourceLocation& where,
            YAML::anchor_t anchor) {
    if (wants_key()) fail_request(where, "a key must be a scalar");
    if (!tag.empty() && tag != "?" && tag != "!" && tag != std::string(kTagPrefix) + kind) {
      fail_request(where, fmt::format("the tag '{}' is not known", tag));
    }
    check_nesting(static_cast<int>(frames_.size()) + 1, where);
    frames_.push_back({{std::move(value), sizeof(Config), 1}, where, anchor});
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    finish(std::move(frame.node), frame.where, frame.anchor);
  }

  void finish(Node node, const SourceLocation& where, YAML::anchor_t anchor) {
    if (wants_key()) fail_request(where, "a key must be a scalar, and not null");
    node.value.set_where(where);
    if (anchor != 0) anchors_[anchor] = node;
    if (frames_.empty()) {
      root_ = std::move(node.value);
      return;
    }
    Frame& frame = frames_.back();
    frame.node.bytes += node.bytes;
    frame.node.height = std::max(frame.node.height, node.height + 1);
    if (frame.node.value.is_list()) {
      frame.node.value.append(std::move(node.value));
    } else {
      node.value.set_key_where(frame.key_where);
      frame.node.value.add(std::move(frame.key), std::move(node.value));
      frame.has_key = false;
    }
  }

  std::string name_;
  int documents_ = 0;
  size_t expanded_ = 0;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, Node> anchors_;
  Config root_;
};

// yaml-cpp passes over bytes that YAML forbids; here they are errors.
void check_characters(const std::string& text, const std::string& name) {
  LineCounter lines(text, name);
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f) {
      fail_request(lines.at(i), fmt::format("the control character 0x{:02x} in YAML", c));
    }
    const size_t length = utf8_length(text, i);
    if (length == 0) fail_request(lines.at(i), "a byte that is not UTF-8");
    i += length;
  }
}

bool is_plain_safe(const std::string& text) {
  const auto word = [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '/' || c == '.';
  };
  if (text.empty() || !word(text.front()) || text.back() == ' ') return false;
  if (text.starts_with("...")) return false;
  const auto safe = [&](char c) { return word(c) || std::string_view("+-*^=()@ ").find(c) < 9; };
  if (!std::all_of(text.begin(), text.end(), safe)) return false;
  try {
    return resolve(text, {}).is_string();
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
      write_string(key, out);
      out += ':';
      nested(item, false);
    }
  }
}

}  // namespace

Config parse_yaml(const std::string& text, const std::string& name) {
  check_characters(text, name);
  std::istringstream stream(text);
  Builder builder(name);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    SourceLocation where{name};
    if (!error.mark.is_null()) where = {name, error.mark.line + 1, error.mark.column + 1};
    fail_request(where, error.msg);
  }
  return builder.take();
}

Config read_yaml_file(const std::string& path) { return parse_yaml(read_file(path), path); }

std::string Config::to_yaml() const {
  std::string out;
  if (write_inline(*this, out)) return out + "\n";
  write_block(*this, 0, out);
  return out;
}

}  // namespace heed
