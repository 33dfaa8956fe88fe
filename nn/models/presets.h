// Presets: published models as named values of a model's options.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/options.h"

namespace heed::nn {

template <class T>
std::vector<std::string> preset_names(const std::map<std::string, T>& presets) {
  std::vector<std::string> names;
  for (const auto& [name, options] : presets) names.push_back(name);
  return names;
}

/// Reads options that start from the preset a config names, if it names one, changed by the other
/// keys. An unknown preset is the reading's error (the field's rule lists the names). `what` stands
/// for the model in messages. A preset may be of a base of T; `adjust` is called between the two.
template <class Base, HasOptions T = Base>
T read_with_preset(const Config& config, const std::string& what,
                   const std::map<std::string, Base>& presets,
                   const std::function<void(T&)>& adjust = {}) {
  T options{};
  const Config* preset = config.find("preset");
  if (preset != nullptr && preset->is_string()) {
    if (const auto found = presets.find(preset->as_string()); found != presets.end())
      static_cast<Base&>(options) = found->second;
  }
  if (adjust) adjust(options);
  detail::read_fields(config, what, {"type"}, [&](Options& o) { options.options(o); });
  return options;
}

}  // namespace heed::nn
