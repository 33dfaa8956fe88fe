#include "recipes/engine/hf/limits.h"

#include <map>

namespace heed::recipes::hf {
namespace {

struct Limit {
  int64_t least, most;
};

constexpr int64_t power(int exponent) { return int64_t{1} << exponent; }

// The largest tensors within them: q, k and v together, 3 2^15 2^14 rows of 2^20 numbers; patches,
// 2^20 rows of 2^12 2^12 2^10 numbers; positions on a grid, 2^16 2^16 rows of 2^20.
const std::map<std::string, Limit>& limits() {
  static const std::map<std::string, Limit> all = {
      {"layers", {1, 10'000}},         {"dim", {1, power(20)}},
      {"hidden", {1, power(22)}},      {"heads", {1, power(15)}},
      {"kv_heads", {0, power(15)}},    {"head_dim", {0, power(14)}},
      {"vocab", {1, power(26)}},       {"image_token", {0, power(26)}},
      {"context", {1, power(30)}},     {"position_offset", {0, power(30)}},
      {"token_types", {0, power(16)}}, {"classes", {0, power(24)}},
      {"channels", {1, power(10)}},    {"height", {1, power(16)}},
      {"width", {1, power(16)}},       {"patch", {1, power(12)}},
      {"registers", {0, power(16)}},
  };
  return all;
}

}  // namespace

void check_limit(const Config& value, const std::string& key, const std::string& option) {
  const auto found = limits().find(option);
  if (found == limits().end() || !value.is_number()) return;
  const auto [least, most] = found->second;
  const double number = value.as_number();  // (a NaN is below)
  if (number >= static_cast<double>(least) && number <= static_cast<double>(most)) return;
  fail_request(value.where(),
               fmt::format("'{}' is {}; it must be {} to {}", key, value.to_json(), least, most));
}

void check_limits(const Config& model, const std::string& prefix) {
  if (!model.is_map()) return;
  for (const auto& [option, value] : model.as_map()) {
    const std::string key = prefix + option;
    // Zero stands for what follows from others.
    if (!(value == Config(0))) check_limit(value, key, option);
    if (option == "text" || option == "vision") check_limits(value, key + ".");
  }
}

}  // namespace heed::recipes::hf
