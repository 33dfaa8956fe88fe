#include "data/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "core/error.h"

namespace heed::data {

const PickleValue* PickleValue::find(const std::string& key) const {
  if (kind != Kind::map) return nullptr;
  for (size_t i = items.size(); i >= 2; i -= 2) {
    if (items[i - 2]->kind == Kind::string && items[i - 2]->text == key) return items[i - 1];
  }
  return nullptr;
}

// The machine of Python's pickletools: a stack, marks on it, and a memo.
class PickleReader {
 public:
  using Kind = PickleValue::Kind;

  PickleReader(std::span<const std::byte> bytes, const std::string& name, Pickle& pickle)
      : bytes_(bytes), name_(name), pickle_(pickle) {}

  void run() {
    for (;;) {
      start_ = at_;
      const uint8_t code = u8();
      if (code == '.') break;
      step(code);
    }
    pickle_.root_ = pop();
  }

 private:
  [[noreturn]] void reject(const std::string& message) const {
    fail_request(SourceLocation{name_}, fmt::format("byte {} of the pickle: {}", start_, message));
  }

  const std::byte* take(uint64_t count) {
    if (count > bytes_.size() - at_) reject("it is cut short");
    const std::byte* begin = bytes_.data() + at_;
    at_ += count;
    return begin;
  }
  uint8_t u8() { return std::to_integer<uint8_t>(*take(1)); }
  uint64_t little(size_t count) {
    const std::byte* bytes = take(count);
    uint64_t value = 0;
    for (size_t i = count; i-- > 0;) value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
    return value;
  }
  std::string text(uint64_t count) {
    const std::byte* bytes = take(count);
    return {reinterpret_cast<const char*>(bytes), count};
  }
  // A name up to the end of its line.
  std::string line() {
    const std::span<const std::byte> rest = bytes_.subspan(at_);
    const auto end = std::find(rest.begin(), rest.end(), std::byte{'\n'});
    const auto length = static_cast<size_t>(end - rest.begin());
    check_name(length);
    std::string read = text(length);
    take(1);
    return read;
  }
  void check_name(size_t length) const {
    if (length <= Pickle::kMostName) return;
    reject(fmt::format("a name of {} bytes or more; the longest that is read has {}",
                       Pickle::kMostName + 1, Pickle::kMostName));
  }

  PickleValue* make(Kind kind) {
    pickle_.values_.push_back(std::make_unique<PickleValue>());
    pickle_.values_.back()->kind = kind;
    return pickle_.values_.back().get();
  }
  PickleValue* push(Kind kind) {
    PickleValue* value = make(kind);
    stack_.push_back(value);
    return value;
  }
  void push_integer(int64_t value) { push(Kind::integer)->integer = value; }
  void push_string(uint64_t count) {
    std::string read = text(count);
    push(Kind::string)->text = std::move(read);
  }

  PickleValue* pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) reject("nothing is on the stack");
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue* top() {
    PickleValue* value = pop();
    stack_.push_back(value);
    return value;
  }
  std::vector<const PickleValue*> pop_to_mark() {
    if (marks_.empty()) reject("there is no mark on the stack");
    const size_t begin = marks_.back();
    marks_.pop_back();
    std::vector<const PickleValue*> items(stack_.begin() + static_cast<std::ptrdiff_t>(begin),
                                          stack_.end());
    stack_.resize(begin);
    return items;
  }

  void tuple(size_t count) {
    std::vector<const PickleValue*> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push(Kind::list)->items = std::move(items);
  }
  // Into a list; objects that are like one stay what their call says.
  void append(std::vector<const PickleValue*> items) {
    PickleValue* list = top();
    if (list->kind != Kind::list) return;
    list->items.insert(list->items.end(), items.begin(), items.end());
  }
  void set(const std::vector<const PickleValue*>& items) {
    if (items.size() % 2 != 0) reject("a key without a value");
    PickleValue* map = top();
    if (map->kind != Kind::map) return;
    map->items.insert(map->items.end(), items.begin(), items.end());
  }
  void call() {
    const PickleValue* arguments = pop();
    const PickleValue* callee = pop();
    // Its empty form alone is written by anybody; items follow.
    if (callee->kind == Kind::global && callee->text == "collections.OrderedDict" &&
        arguments->kind == Kind::list && arguments->items.empty()) {
      push(Kind::map);
      return;
    }
    push(Kind::call)->items = {callee, arguments};
  }
  void remember(uint64_t key) { memo_[key] = top(); }
  void recall(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) reject("it refers to what it has not remembered");
    stack_.push_back(found->second);
  }
  void global(const std::string& module, const std::string& name) {
    push(Kind::global)->text = fmt::format("{}.{}", module, name);
  }

  // Integers of up to 64 bits; larger ones have no use here.
  void long_integer() {
    const uint8_t count = u8();
    if (count > 8) {
      take(count);
      push(Kind::none);
      return;
    }
    const uint64_t bits = little(count);
    const int unused = 64 - 8 * count;
    push_integer(count == 0 ? 0 : static_cast<int64_t>(bits << unused) >> unused);
  }
  void floating() {
    uint64_t bits = 0;
    const std::byte* bytes = take(8);
    for (size_t i = 0; i < 8; ++i) bits = bits << 8 | std::to_integer<uint64_t>(bytes[i]);
    push(Kind::number)->number = std::bit_cast<double>(bits);
  }

  void step(uint8_t code) {
    switch (code) {
      case 0x80: {  // PROTO
        const uint8_t protocol = u8();
        if (protocol > 5) reject(fmt::format("it is of protocol {}", protocol));
        return;
      }
      case 0x95:  // FRAME
        take(8);
        return;
      case '(':
        marks_.push_back(stack_.size());
        return;
      case '0':
        pop();
        return;
      case '1':
        pop_to_mark();
        return;
      case '2':
        stack_.push_back(top());
        return;
      case 'N':
        push(Kind::none);
        return;
      case 0x88:
      case 0x89:
        push(Kind::boolean)->integer = code == 0x88 ? 1 : 0;
        return;
      case 'J':
        return push_integer(static_cast<int32_t>(little(4)));
      case 'K':
        return push_integer(u8());
      case 'M':
        return push_integer(static_cast<int64_t>(little(2)));
      case 0x8a:
        return long_integer();
      case 'G':
        return floating();
      case 'X':
      case 'T':
      case 'B':
        return push_string(little(4));
      case 0x8c:
      case 'U':
      case 'C':
        return push_string(u8());
      case 0x8d:  // BINUNICODE8
      case 0x8e:  // BINBYTES8
        return push_string(little(8));
      case ']':
      case ')':
      case 0x8f:  // EMPTY_SET
        push(Kind::list);
        return;
      case 'l':
      case 't':
      case 0x91: {  // FROZENSET
        std::vector<const PickleValue*> items = pop_to_mark();
        push(Kind::list)->items = std::move(items);
        return;
      }
      case 0x85:
      case 0x86:
      case 0x87:
        return tuple(code - 0x84U);
      case 'a':
        return append({pop()});
      case 'e':
      case 0x90:  // ADDITEMS
        return append(pop_to_mark());
      case '}':
        push(Kind::map);
        return;
      case 'd': {
        std::vector<const PickleValue*> items = pop_to_mark();
        push(Kind::map);
        return set(items);
      }
      case 's': {
        const PickleValue* value = pop();
        const PickleValue* key = pop();
        return set({key, value});
      }
      case 'u':
        return set(pop_to_mark());
      case 'q':
        return remember(u8());
      case 'r':
        return remember(little(4));
      case 0x94:  // MEMOIZE
        return remember(memo_.size());
      case 'h':
        return recall(u8());
      case 'j':
        return recall(little(4));
      case 'c': {
        const std::string module = line();
        return global(module, line());
      }
      case 0x93: {  // STACK_GLOBAL
        const PickleValue* name = pop();
        const PickleValue* module = pop();
        if (name->kind != Kind::string || module->kind != Kind::string) {
          reject("a global without a name");
        }
        check_name(module->text.size());
        check_name(name->text.size());
        return global(module->text, name->text);
      }
      case 'R':
      case 0x81:  // NEWOBJ
        return call();
      case 0x92:  // NEWOBJ_EX
        pop();
        return call();
      case 'b':  // BUILD: attributes of an object
        pop();
        top();
        return;
      case 'Q': {
        const PickleValue* id = pop();
        push(Kind::outside)->items = {id};
        return;
      }
      default:
        reject(fmt::format("the instruction 0x{:02x} is not read", code));
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
  Pickle& pickle_;
  size_t at_ = 0, start_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleValue*> memo_;
};

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& name) {
  PickleReader(bytes, name, *this).run();
}

}  // namespace heed::data
