// Slots of models: what `attention: {type: ...}` or `pool: {type: ...}` names is an entry of a
// registry, made of its own options and of what the host model gives.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/options.h"
#include "nn/defaults.h"
#include "nn/registry.h"

namespace heed::nn {

template <class Part, class Host>
struct SlotEntry {
  std::string name;
  std::vector<std::string> aliases;
  std::string summary;             ///< one line
  std::string source;              ///< paper, with equation
  std::function<Config()> schema;  ///< JSON Schema of the slot's own keys
  std::function<std::unique_ptr<Part>(const Config& slot, const Host& host)> make;
  /// By itself, without a model around it: the keys are the host's and its own together.
  std::function<std::unique_ptr<Part>(const Config&)> probe_make;
  std::function<Config(const Config&)> probe_resolve;  ///< its defaults filled in
};

/// The host's options and a part's own in one map, for running a part by itself.
template <class Host, class Own>
struct Standalone {
  Host host;
  Own own;

  void options(Options& o) {
    host.options(o);
    own.options(o);
  }
};

/// Fills in how the entry, described already, is made: a Made of the host and an Own. `kind` comes
/// before its name in messages ("attention").
template <class Made, class Own, class Part, class Host>
void made_of(SlotEntry<Part, Host>& entry, const std::string& kind) {
  const std::string what = kind + " " + entry.name;
  using Both = Standalone<Host, Own>;
  entry.schema = [] { return describe_options<Own>(); };
  entry.make = [what](const Config& slot, const Host& host) -> std::unique_ptr<Part> {
    return std::make_unique<Made>(host, read_options<Own>(slot, what));
  };
  entry.probe_make = [what](const Config& config) -> std::unique_ptr<Part> {
    const auto all = read_options<Both>(config, what);
    return std::make_unique<Made>(all.host, all.own);
  };
  entry.probe_resolve = [what](const Config& config) {
    return with_defaults(config, read_options<Both>(config, what));
  };
}

/// The entry of that name or alias; a RequestError with a suggestion otherwise.
template <class Entry>
const Entry& find_slot(const std::vector<Entry>& entries, const std::string& kind,
                       const std::string& name, const SourceLocation& where) {
  std::vector<std::string> names;
  for (const Entry& entry : entries) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
    for (const std::string& alias : entry.aliases) {
      if (alias == name) return entry;
      names.push_back(alias);
    }
  }
  fail_request(where, fmt::format("unknown {} '{}'{}", kind, name, did_you_mean(name, names)));
}

/// What a slot asks for, a name or a map with `type` and the part's own keys (`usual` where it says
/// nothing): the entry and those keys.
template <class Entry>
std::pair<const Entry*, Config> read_slot(const std::vector<Entry>& entries,
                                          const std::string& kind, const Config& slot,
                                          const std::string& usual) {
  std::string name = usual;
  Config own = Config::map().set_where(slot.where());
  if (slot.is_string()) {
    name = slot.as_string();
  } else if (!slot.is_null() && !slot.as_map().empty()) {  // any other kind is an error here
    own = slot;
    if (const Config* type = own.find("type")) name = type->as_string();
  }
  const Config* type = own.find("type");
  return {&find_slot(entries, kind, name, type ? type->where() : slot.where()), own};
}

/// The registry of modules' entry of such a part.
template <class Part, class Host>
ModuleEntry slot_module(const std::string& kind, const SlotEntry<Part, Host>& part,
                        std::vector<std::string> inputs) {
  ModuleEntry e{part.name, kind, part.summary, part.source, std::move(inputs)};
  e.aliases = part.aliases;
  e.schema = part.schema;
  e.make = part.probe_make;
  e.resolve = part.probe_resolve;
  return e;
}

}  // namespace heed::nn
