// YAML text to Config: yaml-cpp does the syntax and reports events, from which the tree is built.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <unordered_map>

#include "core/config.h"
#include "core/files.h"
#include "core/text.h"
#include "core/yaml_scalar.h"

namespace heed {
namespace {

constexpr size_t kMaxExpansionBytes = size_t{16} << 20;
constexpr const char* kTagPrefix = "tag:yaml.org,2002:";

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
    // yaml-cpp turns the escapes \N and \_ into single bytes.
    if (find_invalid_utf8(text) != std::string::npos) {
      fail_request(where, "the escapes \\N and \\_ are not read; write \\u0085 and \\u00a0");
    }
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
    if (tag == "?" || tag.empty()) return resolve_yaml_scalar(text, where);
    if (tag == "!" || tag == std::string(kTagPrefix) + "str") return Config(text);
    static const std::map<std::string, std::string> kKinds = {
        {"null", "null"}, {"bool", "bool"}, {"int", "integer"}, {"float", "number"}};
    const auto kind = tag.starts_with(kTagPrefix) ? kKinds.find(tag.substr(18)) : kKinds.end();
    if (kind == kKinds.end()) fail_request(where, fmt::format("the tag '{}' is not known", tag));
    Config value = resolve_yaml_scalar(text, where);
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

}  // namespace heed
