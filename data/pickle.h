// Python's pickles (PEP 3154; protocols 2 to 5), read as data: the tree of values that one
// describes. Nothing is imported or called. Where a pickle asks for a call, the result is a value
// that says of what with which arguments; what that means is for whoever reads the tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace heed::data {

struct PickleValue {
  enum class Kind {
    none,
    boolean,
    integer,
    number,
    string,  ///< bytes too
    list,    ///< tuples and sets too: `items`
    map,     ///< dict and OrderedDict: `items` are keys and values by turns
    global,  ///< `text` is "module.name"
    call,    ///< `items`: what is called, and its arguments
    outside  ///< persistent: `items` has the one value that identifies it
  };
  Kind kind = Kind::none;
  int64_t integer = 0;  ///< booleans too
  double number = 0.0;
  std::string text = {};
  std::vector<const PickleValue*> items = {};

  /// A map's value of that key (the last one given), or nullptr.
  const PickleValue* find(const std::string& key) const;
  bool is_list(size_t count) const { return kind == Kind::list && items.size() == count; }
};

/// A pickle's values. They may share parts, and hold themselves: whoever follows them sets a limit.
class Pickle {
 public:
  /// The longest name of a module or of what it holds, in bytes: a pickle may name what it has
  /// remembered again and again, each time in a few bytes.
  static constexpr size_t kMostName = 256;

  /// Reads one. What breaks the format, names of more than kMostName bytes, and the few
  /// instructions of protocols 0 and 1 that no later one writes, are a RequestError with `name` and
  /// the byte offset. Memory is in proportion to the bytes: a value for each instruction at most.
  Pickle(std::span<const std::byte> bytes, const std::string& name);
  const PickleValue& root() const { return *root_; }

 private:
  friend class PickleReader;
  std::vector<std::unique_ptr<PickleValue>> values_;
  const PickleValue* root_ = nullptr;
};

}  // namespace heed::data
