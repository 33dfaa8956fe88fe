// JSON text <-> Config. Parsing is nlohmann's event parser fed through an iterator that remembers
// how far it got, from which every value's place follows.
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "core/config.h"
#include "core/files.h"
#include "core/json_lines.h"
#include "core/text.h"

namespace heed {
namespace {

// Reads the text and keeps the furthest position read.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

// Builds the Config from the parser's events.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(const std::string& text, const std::string& name, int first_line = 1)
      : text_(text), furthest_(text.data()), lines_(text, name, first_line) {}

  Config build() {
    const char* end = text_.data() + text_.size();
    nlohmann::json::sax_parse(CountingIterator(text_.data(), &furthest_),
                              CountingIterator(end, &furthest_), this);
    return std::move(root_);
  }

  bool null() override { return add(Config()); }
  bool boolean(bool value) override { return add(Config(value)); }
  bool number_integer(number_integer_t value) override { return add(Config(int64_t{value})); }
  bool number_unsigned(number_unsigned_t value) override {
    const bool fits = value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    return add(fits ? Config(static_cast<int64_t>(value)) : Config(static_cast<double>(value)));
  }
  bool number_float(number_float_t value, const string_t&) override { return add(Config(value)); }
  bool string(string_t& value) override { return add(Config(std::move(value))); }
  bool binary(binary_t&) override { return false; }  // JSON text has none

  bool start_object(size_t) override { return open(Config::map()); }
  bool start_array(size_t) override { return open(Config::list()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    Frame& frame = frames_.back();
    frame.key_where = here();
    if (!frame.keys.insert(value).second) {
      const SourceLocation first = frame.value.find(value)->key_where();
      fail_request(frame.key_where, fmt::format("the key '{}' was already given at {}:{}", value,
                                                first.line, first.column));
    }
    frame.key = std::move(value);
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& error) override {
    const auto read = static_cast<size_t>(furthest_ - text_.data());
    const std::string message = explain(error.what());
    // The parser stops just behind the offending byte, or at the end of the text.
    const bool at_end = read == 0 || message.find("unexpected end of input") != message.npos;
    fail_request(lines_.at(at_end ? read : read - 1), message);
  }

 private:
  struct Frame {
    Config value;
    std::string key;
    SourceLocation key_where;
    std::unordered_set<std::string> keys;
  };

  // "[json.exception...] parse error at line 1, column 2: syntax error ..." without its first half.
  static std::string explain(const std::string& message) {
    const size_t column = message.find("column ");
    const size_t colon = message.find(": ", column == std::string::npos ? 0 : column);
    const size_t bracket = message.find("] ");
    if (column != std::string::npos && colon != std::string::npos) return message.substr(colon + 2);
    return bracket == std::string::npos ? message : message.substr(bracket + 2);
  }

  // Place of the token just read: the first byte behind the last one that is not a separator.
  SourceLocation here() {
    const size_t start = text_.find_first_not_of(" \t\r\n,:]}", last_end_);
    last_end_ = static_cast<size_t>(furthest_ - text_.data());
    return lines_.at(start);
  }

  bool open(Config value) {
    if (static_cast<int>(frames_.size()) == kMaxNesting) {
      fail_request(here(), fmt::format("nested deeper than {}", kMaxNesting));
    }
    value.set_where(here());
    frames_.push_back({std::move(value), "", {}, {}});
    return true;
  }

  bool close() {
    last_end_ = static_cast<size_t>(furthest_ - text_.data());
    Config value = std::move(frames_.back().value);
    frames_.pop_back();
    return attach(std::move(value));
  }

  bool add(Config value) {
    value.set_where(here());
    return attach(std::move(value));
  }

  bool attach(Config value) {
    if (frames_.empty()) {
      root_ = std::move(value);
    } else if (Frame& frame = frames_.back(); frame.value.is_list()) {
      frame.value.append(std::move(value));
    } else {
      value.set_key_where(frame.key_where);
      frame.value.add(std::move(frame.key), std::move(value));
    }
    return true;
  }

  const std::string& text_;
  const char* furthest_;
  size_t last_end_ = 0;
  LineCounter lines_;
  std::vector<Frame> frames_;
  Config root_;
};

void write_string(const std::string& text, std::string& out) {
  out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void write_break(int indent, int depth, std::string& out) {
  if (indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent) * static_cast<size_t>(depth), ' ');
}

void write(const Config& value, int indent, int depth, std::string& out) {
  const auto items = [&](const auto& all, char open, char close, const auto& one) {
    out += open;
    const char* separator = "";
    for (const auto& item : all) {
      out += separator;
      write_break(indent, depth + 1, out);
      one(item);
      separator = indent < 0 ? ", " : ",";
    }
    if (!all.empty()) write_break(indent, depth, out);
    out += close;
  };
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_integer()) {
    out += std::to_string(value.as_integer());
  } else if (value.is_number()) {
    const double number = value.as_number();
    out += std::isfinite(number) ? shortest_number(number) : "null";
  } else if (value.is_string()) {
    write_string(value.as_string(), out);
  } else if (value.is_list()) {
    items(value.as_list(), '[', ']',
          [&](const Config& item) { write(item, indent, depth + 1, out); });
  } else {
    items(value.as_map(), '{', '}', [&](const auto& member) {
      write_string(member.first, out);
      out += ": ";
      write(member.second, indent, depth + 1, out);
    });
  }
}

}  // namespace

Config parse_json(const std::string& text, const std::string& name) {
  return Builder(text, name).build();
}

Config parse_json_line(const std::string& text, const std::string& name, int line) {
  return Builder(text, name, line).build();
}

Config read_json_file(const std::string& path) { return parse_json(read_file(path), path); }

std::string Config::to_json(int indent) const {
  std::string out;
  write(*this, indent, 0, out);
  return out;
}

}  // namespace heed
