#include "recipes/engine/hf/rope.h"

#include <algorithm>

namespace heed::recipes::hf {
namespace {

// Parameters of a kind of scaling and the options with the same meaning.
using Names = std::vector<std::pair<std::string, std::string>>;

Names parameters_of(const std::string& kind) {
  if (kind == "linear") return {{"factor", "factor"}};
  return {{"factor", "factor"},
          {"low_freq_factor", "low"},
          {"high_freq_factor", "high"},
          {"original_max_position_embeddings", "context"}};
}

Config scaling_of(const Config& parameters) {
  const Config* type = given(parameters, "rope_type");
  if (type == nullptr) type = given(parameters, "type");  // the older name
  const std::string kind = type == nullptr ? "default" : type->as_string();
  if (kind != "default" && kind != "linear" && kind != "llama3") {
    fail_request(type->where(), fmt::format("rotary scaling of type '{}' is not supported; known: "
                                            "default, linear, llama3",
                                            kind));
  }
  const Names names = kind == "default" ? Names{} : parameters_of(kind);
  Config scaling = Config::Map{{"type", kind == "default" ? "none" : kind}};
  for (const auto& [theirs, ours] : names) scaling.set(ours, parameters.at(theirs));
  for (const auto& [key, value] : parameters.as_map()) {
    const bool known =
        key == "rope_type" || key == "type" || key == "rope_theta" ||
        (key == "partial_rotary_factor" && value == Config(1.0)) ||
        std::any_of(names.begin(), names.end(), [&](const auto& n) { return n.first == key; });
    if (!known && !value.is_null()) {
      fail_request(
          value.key_where(),
          fmt::format("'{}' of rotary positions of type '{}' is not supported", key, kind));
    }
  }
  return scaling;
}

void read(const Config& config, Config& model) {
  const Config* all = given(config, "rope_parameters");
  const Config* scaling = all != nullptr ? all : given(config, "rope_scaling");
  const Config* base = all != nullptr ? given(*all, "rope_theta") : nullptr;
  if (base == nullptr) base = given(config, "rope_theta");
  model.set("rope_base", base != nullptr ? *base : Config(10000.0));
  model.set("rope_scaling",
            scaling != nullptr ? scaling_of(*scaling) : Config(Config::Map{{"type", "none"}}));
}

void write(const Config& model, Config& config) {
  config.set("rope_theta", model.at("rope_base"));
  const Config& scaling = model.at("rope_scaling");
  const std::string& kind = scaling.at("type").as_string();
  if (kind == "none") return;
  Config parameters = Config::Map{{"rope_type", kind}};
  for (const auto& [theirs, ours] : parameters_of(kind)) parameters.set(theirs, scaling.at(ours));
  config.set("rope_scaling", parameters);
}

}  // namespace

Rule rope_rule() { return {{"rope_theta", "rope_scaling", "rope_parameters"}, read, write}; }

}  // namespace heed::recipes::hf
