#include "data/chat/loop.h"

namespace heed::data::chat {

Value loop_member(std::vector<Loop>& loops, const std::string& name) {
  const Loop& loop = loops.back();
  const auto at = static_cast<int64_t>(loop.at), size = std::ssize(*loop.items);
  if (name == "index") return at + 1;
  if (name == "index0") return at;
  if (name == "revindex") return size - at;
  if (name == "revindex0") return size - at - 1;
  if (name == "first") return at == 0;
  if (name == "last") return at + 1 == size;
  if (name == "length") return size;
  if (name == "depth") return 1;  // of recursive loops, which there are none of
  if (name == "depth0") return 0;
  if (name == "previtem") {
    return at > 0 ? (*loop.items)[loop.at - 1] : Value::undefined("loop.previtem");
  }
  if (name == "nextitem") {
    return at + 1 < size ? (*loop.items)[loop.at + 1] : Value::undefined("loop.nextitem");
  }
  if (name == "cycle") {
    return Value::function(name, [at](const Arguments& a) {
      if (a.positional.empty()) fault("loop.cycle needs values");
      return a.positional[static_cast<size_t>(at) % a.positional.size()];
    });
  }
  if (name == "changed") {
    return Value::function(name, [&loops](const Arguments& a) -> Value {
      if (loops.empty()) fault("loop.changed outside its loop");
      const bool changed = loops.back().last_changed != a.positional;
      loops.back().last_changed = a.positional;
      return changed;
    });
  }
  return Value::undefined(fmt::format("loop.{}", name));
}

}  // namespace heed::data::chat
