// How a module becomes an entry of the registry.
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <vector>

#include "nn/defaults.h"
#include "nn/registry.h"

namespace heed::nn {

struct Description {
  const char* name;
  const char* summary;
  const char* source;
  std::vector<std::string> inputs = {"x"};
};

/// The input of that name; undefined when it is optional ("positions?") and absent.
inline Tensor input(const Inputs& inputs, const std::string& name) {
  const auto it = inputs.find(name.substr(0, name.find('?')));
  return it == inputs.end() ? Tensor() : it->second;
}

/// forward of the named inputs, one to four, in their order.
template <class M, class... Given>
Tensor call(M& module, const std::vector<std::string>& names, const Inputs& inputs,
            const Given&... given) {
  if (sizeof...(given) == names.size()) {
    if constexpr (requires {
                    { module.forward(given...) } -> std::convertible_to<Tensor>;
                  }) {
      return module.forward(given...);
    }
  } else if constexpr (sizeof...(given) < 4) {
    return call(module, names, inputs, given..., input(inputs, names[sizeof...(given)]));
  }
  fail("a forward of {} tensors does not exist", names.size());
}

/// A module made from an options struct, whose forward takes the described inputs.
template <class M, class O>
ModuleEntry entry(const char* kind, const Description& d) {
  const std::string what = std::string(kind) + " " + d.name;
  ModuleEntry e{d.name, kind, d.summary, d.source, d.inputs};
  e.schema = [] { return describe_options<O>(); };
  e.make = [what](const Config& config) {
    return std::make_unique<M>(read_options<O>(config, what));
  };
  e.resolve = [what](const Config& config) {
    return with_defaults(config, read_options<O>(config, what));
  };
  e.forward = [names = d.inputs](Module& module, const Inputs& inputs) {
    return std::vector<Tensor>{call(static_cast<M&>(module), names, inputs)};
  };
  return e;
}

}  // namespace heed::nn
