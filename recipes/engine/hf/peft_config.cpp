#include "recipes/engine/hf/peft_config.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace heed::recipes::hf {
namespace {

// Keys that change nothing of what an adapter computes, given its tensors: what it was made for,
// how it was started, and which modules it was put on, which the tensors' names say.
constexpr std::array kCarried = {"auto_mapping",
                                 "base_model_name_or_path",
                                 "ensure_weight_tying",
                                 "eva_config",
                                 "exclude_modules",
                                 "fan_in_fan_out",
                                 "inference_mode",
                                 "layers_pattern",
                                 "layers_to_transform",
                                 "megatron_core",
                                 "peft_version",
                                 "qalora_group_size",
                                 "revision",
                                 "runtime_config",
                                 "target_modules",
                                 "task_type"};

constexpr std::array kRead = {"peft_type",     "r",
                              "lora_alpha",    "lora_dropout",
                              "use_rslora",    "rank_pattern",
                              "alpha_pattern", "modules_to_save",
                              "bias",          "init_lora_weights"};

template <class List, class Value>
bool contains(const List& list, const Value& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// Null, false and what is empty ask for nothing.
bool says_nothing(const Config& value) {
  return value.is_null() || value == Config(false) || (value.is_map() && value.as_map().empty()) ||
         (value.is_list() && value.as_list().empty());
}

void check_known(const Config& config) {
  for (const auto& [key, value] : config.as_map()) {
    if (contains(kCarried, key) || contains(kRead, key) || says_nothing(value)) continue;
    fail_request(value.key_where(), fmt::format("'{}' of an adapter is not supported; it is {}",
                                                key, value.to_json()));
  }
}

void check_words(const Config& config, const char* key, const std::vector<Config>& known) {
  const Config* value = given(config, key);
  if (value == nullptr || contains(known, *value)) return;
  std::vector<std::string> names;
  for (const Config& word : known) names.push_back(word.to_json());
  fail_request(value->where(), fmt::format("'{}' is {}, which is not supported; known: {}", key,
                                           value->to_json(), fmt::join(names, ", ")));
}

// PEFT takes regular expressions; names, which most are, mean the same here.
const std::string& plain(const std::string& pattern, const Config& where) {
  const bool name = !pattern.empty() && std::all_of(pattern.begin(), pattern.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
  });
  if (!name) {
    fail_request(where.key_where(),
                 fmt::format("the pattern '{}' is not supported; give names of modules", pattern));
  }
  return pattern;
}

template <class T, class Read>
void read_pattern(const Config& config, const char* key, std::vector<std::pair<std::string, T>>& to,
                  Read&& read) {
  const Config* patterns = given(config, key);
  if (patterns == nullptr) return;
  for (const auto& [pattern, value] : patterns->as_map()) {
    to.emplace_back(plain(pattern, value), read(value));
  }
}

int64_t rank_in(const Config& value) {
  constexpr int64_t kMost = 1 << 20;
  const int64_t rank = value.as_integer();
  if (rank < 1 || rank > kMost) fail_request(value.where(), fmt::format("a rank of {}", rank));
  return rank;
}

double alpha_in(const Config& value) {
  const double alpha = value.as_number();
  if (!(alpha > 0) || !std::isfinite(alpha)) {
    fail_request(value.where(), fmt::format("'lora_alpha' must be above 0, got {}", alpha));
  }
  return alpha;
}

template <class T>
T of_module(const std::string& module, const std::vector<std::pair<std::string, T>>& patterns,
            T standard) {
  const auto own = std::find_if(patterns.begin(), patterns.end(),
                                [&](const auto& entry) { return ends_in(module, entry.first); });
  return own == patterns.end() ? standard : own->second;
}

}  // namespace

bool ends_in(const std::string& module, const std::string& end) {
  return module == end || module.ends_with("." + end);
}

int64_t PeftConfig::rank_of(const std::string& module) const {
  return of_module(module, ranks, rank);
}

double PeftConfig::own_alpha_of(const std::string& module) const {
  const double own = of_module(module, alphas, alpha);
  return rslora ? own * std::sqrt(static_cast<double>(rank_of(module))) : own;
}

std::string module_in_version_5(const Family& family, std::string name) {
  using Names = std::vector<std::pair<std::string, std::string>>;
  static const Names vision = {{".encoder.layer.", ".layers."},
                               {".attention.attention.query", ".attention.q_proj"},
                               {".attention.attention.key", ".attention.k_proj"},
                               {".attention.attention.value", ".attention.v_proj"},
                               {".attention.output.dense", ".attention.o_proj"},
                               {".intermediate.dense", ".mlp.fc1"},
                               {".output.dense", ".mlp.fc2"}};
  static const Names parts = {{"language_model.model.", "model.language_model."},
                              {"language_model.lm_head", "lm_head"},
                              {"vision_tower.vision_model.", "model.vision_tower."},
                              {"multi_modal_projector.", "model.multi_modal_projector."}};
  const std::string& type = family.model_type;
  const Names& names = type == "llava" ? parts : vision;
  if (type != "llava" && type != "vit" && type != "deit") return name;
  for (const auto& [now, then] : names) {
    const size_t at = name.find(now);
    if (at != std::string::npos) name.replace(at, now.size(), then);
  }
  return name;
}

PeftConfig read_peft_config(const Config& config) {
  check_words(config, "peft_type", {"LORA"});
  check_known(config);
  check_words(config, "bias", {"none"});
  // Others ("pissa", "olora", "loftq") take away from the base what the adapter starts with.
  check_words(config, "init_lora_weights", {true, false, "gaussian", "orthogonal", "eva"});
  PeftConfig read;
  if (const Config* rank = given(config, "r")) read.rank = rank_in(*rank);
  if (const Config* alpha = given(config, "lora_alpha")) read.alpha = alpha_in(*alpha);
  if (const Config* rate = given(config, "lora_dropout")) {
    read.dropout = rate->as_number();
    if (!(read.dropout >= 0 && read.dropout < 1)) {
      fail_request(rate->where(), fmt::format("'lora_dropout' is {}", read.dropout));
    }
  }
  if (const Config* stabilised = given(config, "use_rslora")) read.rslora = stabilised->as_bool();
  read_pattern(config, "rank_pattern", read.ranks, rank_in);
  read_pattern(config, "alpha_pattern", read.alphas, alpha_in);
  if (const Config* saved = given(config, "modules_to_save")) {
    for (const Config& module : saved->as_list()) read.saved.push_back(module.as_string());
  }
  return read;
}

}  // namespace heed::recipes::hf
