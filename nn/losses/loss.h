// A loss as a module: settings that a recipe or probe can give, and the op they call. Losses hold
// no parameters, so a settings struct with an operator() says it all:
//
//   struct MseSettings {
//     std::string reduction = "mean";
//     void options(Options& o);
//     Tensor operator()(const Tensor& x, const Tensor& target) const;
//   };
//   using Mse = Loss<MseSettings>;
#pragma once

#include <concepts>
#include <string>

#include "autograd/ops/reduction.h"
#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

template <HasOptions Settings>
struct Loss : Module {
  explicit Loss(const Settings& given) : settings(given) {}

  /// What the settings' operator() makes of the tensors.
  template <std::same_as<Tensor>... T>
  requires std::invocable<const Settings&, const T&...> Tensor forward(const T&... inputs) {
    return settings(inputs...);
  }

  Settings settings;
};

/// Declares `reduction`: "mean", "sum" or "none", over `what` ("elements", "rows").
void reduction_field(Options& o, std::string& reduction, const char* what);

/// The reduction of that name; an error for any other.
Reduction reduction_named(const std::string& name);

}  // namespace heed::nn
