#include "tests/cuda/not_yet.h"

namespace heed::testing {
namespace {

std::set<std::string>& seen() {
  static std::set<std::string> ops;
  return ops;
}

}  // namespace

const std::set<std::string>& not_yet() {
  static const std::set<std::string> ops = {
      "attention with more than scale, ALiBi and bias",
  };
  return ops;
}

const std::set<std::string>& seen_not_yet() { return seen(); }

bool is_not_yet(const std::string& message) {
  const size_t end = message.find(": no kernel for cuda");
  if (end == std::string::npos) return false;
  const std::string op = message.substr(0, end);
  seen().insert(op);
  return not_yet().contains(op);
}

}  // namespace heed::testing
