#include "recipes/engine/hf/attention_layers.h"

#include <algorithm>

#include "nn/attention/registry.h"

namespace heed::recipes::hf {
namespace {

// A slot with its type's own name and the defaults of what it leaves out.
Config whole_attention(const Config& slot) {
  Config own = slot.is_map() ? slot : Config::map();
  const Config* type = own.find("type");
  const std::string name = slot.is_string()  ? slot.as_string()
                           : type == nullptr ? "softmax"
                                             : type->as_string();
  const nn::AttentionEntry& entry = nn::find_attention(name, slot.where());
  own.set("type", entry.name);
  const Config schema = entry.schema();
  for (const auto& [key, property] : schema.at("properties").as_map()) {
    const Config* standard = property.find("default");
    if (standard != nullptr && !own.has(key)) own.set(key, *standard);
  }
  return own;
}

Config softmax() { return whole_attention(Config(Config::Map{{"type", "softmax"}})); }

Config window(const Config& width) {
  if (width.as_integer() < 1) {
    fail_request(width.where(), fmt::format("a sliding window of {} tokens", width.as_integer()));
  }
  return whole_attention(Config(Config::Map{{"type", "window"}, {"window", width}}));
}

// The window's width; 0 for attention over all tokens. A decoder that is neither is not of the
// families, which reading back shows.
int64_t width_of(const Config& attention) {
  return attention.at("type").as_string() == "window" ? attention.at("window").as_integer() : 0;
}

// The number of layers, before the options of the model have limited it.
int64_t layers_of(const Config& model) {
  constexpr int64_t kMost = 10000;  // more than any model has, and each costs memory
  const Config& layers = model.at("layers");
  const int64_t count = layers.as_integer();
  if (count < 1 || count > kMost) {
    fail_request(layers.where(),
                 fmt::format("a model of {} layers; there must be 1 to {}", count, kMost));
  }
  return count;
}

void read_all_layers(const Config& config, Config& model, int64_t standard) {
  const Config* width = config.find("sliding_window");
  const Config own = width == nullptr ? Config(standard) : *width;
  const auto layers = static_cast<size_t>(layers_of(model));
  set_layer_attentions(std::vector(layers, own.is_null() ? softmax() : window(own)), model);
}

void read_upper_layers(const Config& config, Config& model) {
  const int64_t layers = layers_of(model);
  const Config* use = given(config, "use_sliding_window");
  const Config standard = 4096;
  const Config* width = config.has("sliding_window") ? given(config, "sliding_window") : &standard;
  const Config* from = given(config, "max_window_layers");
  const Config* types = given(config, "layer_types");
  if (types != nullptr && static_cast<int64_t>(types->as_list().size()) != layers) {
    fail_request(types->where(), fmt::format("'layer_types' are {}, and the layers {}",
                                             types->as_list().size(), layers));
  }
  const bool sliding = use != nullptr && use->as_bool();
  const int64_t first = from == nullptr ? 28 : from->as_integer();
  std::vector<Config> all;
  for (int64_t layer = 0; layer < layers; ++layer) {
    bool near = sliding && width != nullptr && layer >= first;
    if (types != nullptr) {
      const Config& type = types->as_list()[static_cast<size_t>(layer)];
      near = type.as_string() == "sliding_attention";
      if (!near && type.as_string() != "full_attention") {
        fail_request(type.where(),
                     fmt::format("a layer of type '{}' is not supported; known: full_attention, "
                                 "sliding_attention",
                                 type.as_string()));
      }
    }
    if (near && (width == nullptr || !sliding)) {
      fail_request(types->where(),
                   "'layer_types' has sliding layers, and there is no "
                   "'sliding_window' in use");
    }
    all.push_back(near ? window(*width) : softmax());
  }
  set_layer_attentions(all, model);
}

void write_upper_layers(const Config& model, Config& config) {
  const std::vector<Config> layers = layer_attentions(model);
  Config types = Config::list();
  auto first = static_cast<int64_t>(layers.size());
  int64_t width = 0;
  for (size_t i = layers.size(); i-- > 0;) {
    if (width_of(layers[i]) == 0) continue;
    width = width_of(layers[i]);
    first = static_cast<int64_t>(i);
  }
  for (const Config& layer : layers) {
    types.append(width_of(layer) > 0 ? "sliding_attention" : "full_attention");
  }
  config.set("use_sliding_window", width > 0);
  config.set("sliding_window", width > 0 ? Config(width) : Config());
  config.set("max_window_layers", first);
  config.set("layer_types", types);
}

}  // namespace

std::vector<Config> layer_attentions(const Config& model) {
  const int64_t count = layers_of(model);
  std::vector<Config> turns;
  if (const Config* listed = model.find("attentions"); listed != nullptr) {
    for (const Config& entry : listed->as_list()) {
      const Config* times = entry.find("layers");
      // Turns behind the last layer never come.
      const int64_t room = count - static_cast<int64_t>(turns.size());
      const int64_t own = std::clamp<int64_t>(times == nullptr ? 1 : times->as_integer(), 0, room);
      turns.insert(turns.end(), static_cast<size_t>(own), whole_attention(entry.at("attention")));
    }
  }
  if (turns.empty()) {
    const Config* all = model.find("attention");
    turns.push_back(whole_attention(all == nullptr ? Config() : *all));
  }
  std::vector<Config> layers;
  for (int64_t layer = 0; layer < count; ++layer) {
    layers.push_back(turns[static_cast<size_t>(layer) % turns.size()]);
  }
  return layers;
}

void set_layer_attentions(const std::vector<Config>& layers, Config& model) {
  Config::List runs;
  for (size_t begin = 0; begin < layers.size();) {
    size_t end = begin;
    while (end < layers.size() && layers[end] == layers[begin]) ++end;
    runs.push_back(
        Config::Map{{"layers", static_cast<int64_t>(end - begin)}, {"attention", layers[begin]}});
    begin = end;
  }
  if (runs.size() == 1) {
    model.set("attention", layers.front());
  } else {
    model.set("attentions", std::move(runs));
  }
}

Rule window_of_all_layers(int64_t standard) {
  return {
      {"sliding_window"},
      [standard](const Config& config, Config& model) { read_all_layers(config, model, standard); },
      [](const Config& model, Config& config) {
        const int64_t width = width_of(layer_attentions(model).front());
        config.set("sliding_window", width > 0 ? Config(width) : Config());
      }};
}

Rule windows_of_upper_layers() {
  return {{"use_sliding_window", "sliding_window", "max_window_layers", "layer_types"},
          read_upper_layers,
          write_upper_layers};
}

}  // namespace heed::recipes::hf
