// The registry of modules: every layer, attention mechanism, pooling, model and loss that a recipe
// can name and that `heed probe` can run by itself.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "nn/module.h"

namespace heed::nn {

/// Named forward arguments of a probe.
using Inputs = std::map<std::string, Tensor>;

struct ModuleEntry {
  std::string name;     ///< "linear", "gpt", ...
  std::string kind;     ///< "layer", "attention", "pooling", "model" or "loss"
  std::string summary;  ///< one line
  std::string source;   ///< paper or standard, with equation; may be empty
  std::vector<std::string>
      inputs;  ///< the forward arguments' names; a trailing '?' marks an optional
  /// JSON Schema of its options; an attention's are those of a model's slot (made by itself it also
  /// takes the host's: AttentionHost).
  std::function<Config()> schema;
  std::function<std::unique_ptr<Module>(const Config&)> make;
  /// The config checked and with every default filled in (a preset's values included); what was
  /// given keeps its place in the text, and `type` comes first when it was given.
  std::function<Config(const Config&)> resolve;
  std::function<std::vector<Tensor>(Module&, const Inputs&)> forward;
  std::vector<std::string> aliases = {};  ///< other names it is found under
};

/// All entries, sorted by kind and name. Filled by the explicit list in registry.cpp.
const std::vector<ModuleEntry>& module_registry();

/// The entry of that name (and kind, unless empty); a RequestError with a suggestion otherwise.
const ModuleEntry& find_module(const std::string& name, const std::string& kind = "",
                               const SourceLocation& where = {});

}  // namespace heed::nn
