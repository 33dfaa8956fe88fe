#include "recipes/engine/hf/peft_export.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/files.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "nn/layers/low_rank.h"
#include "nn/registry.h"
#include "recipes/engine/adapt.h"
#include "recipes/engine/checkpoint_files.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/files.h"
#include "recipes/engine/hf/peft_config.h"
#include "recipes/engine/hf/source.h"
#include "recipes/engine/hf/tensor_map.h"

namespace heed::recipes {
namespace {

using namespace hf;
using checkpoint_files::join;

constexpr std::string_view kWeight = ".weight";

std::string module_of(const std::string& tensor) { return tensor.substr(0, tensor.rfind('.')); }

// The columns of `up`'s rows [begin, end) that are not all zero, as [first, last).
std::pair<int64_t, int64_t> columns_in_use(const Tensor& up, int64_t begin, int64_t end) {
  const Tensor rows = kernels::contiguous_as(views::slice(up, 0, begin, end), DType::f64);
  const int64_t rank = up.size(1);
  const auto* values = rows.data<double>();
  int64_t first = rank, last = 0;
  for (int64_t row = 0; row < end - begin; ++row) {
    for (int64_t column = 0; column < rank; ++column) {
      if (values[row * rank + column] == 0.0) continue;
      first = std::min(first, column);
      last = std::max(last, column + 1);
    }
  }
  return {first, last};
}

struct Piece {
  std::string module;  // theirs
  Tensor a, b;
  double alpha = 0.0;
};

// An update of one of heed's matrices as updates of theirs.
std::vector<Piece> pieces_of(const Placement& placement, const Tensor& down, const Tensor& up,
                             double alpha) {
  const int64_t rank = down.size(0);
  std::vector<Piece> apart, together;
  int64_t row = 0, column = 0;
  bool falls_apart = true;
  for (const Placement::Part& part : placement.parts) {
    const Tensor rows = views::slice(up, 0, row, row + part.rows);
    const auto [first, last] = columns_in_use(up, row, row + part.rows);
    row += part.rows;
    const std::string module = module_of(part.name);
    together.push_back({module, down, rows, alpha});
    if (first >= last) continue;  // without an update
    falls_apart = falls_apart && first == column;
    column = last;
    const double share = static_cast<double>(last - first) / static_cast<double>(rank);
    apart.push_back({module, views::slice(down, 0, first, last), views::slice(rows, 1, first, last),
                     alpha * share});
  }
  falls_apart = falls_apart && column == rank && !apart.empty();
  return falls_apart ? apart : together;
}

// The shortest ends of names that match these modules and no other.
std::vector<std::string> ends_of(const std::set<std::string>& modules,
                                 const std::set<std::string>& all) {
  std::vector<std::string> ends;
  for (const std::string& module : modules) {
    std::string end = module;
    for (size_t dot = module.rfind('.'); dot != std::string::npos && dot > 0;
         dot = module.rfind('.', dot - 1)) {
      const std::string tail = module.substr(dot + 1);
      const bool only = std::none_of(all.begin(), all.end(), [&](const std::string& other) {
        return ends_in(other, tail) && !modules.contains(other);
      });
      if (only) {
        end = tail;
        break;
      }
    }
    if (std::find(ends.begin(), ends.end(), end) == ends.end()) ends.push_back(end);
  }
  return ends;
}

Config number(double value) {
  constexpr double kExact = 1e15;
  if (value == std::floor(value) && std::abs(value) < kExact) {
    return static_cast<int64_t>(value);
  }
  return value;
}

Config list_of(const std::vector<std::string>& names) {
  Config list = Config::list();
  for (const std::string& name : names) list.append(name);
  return list;
}

class Writer {
 public:
  Writer(Source source, const Family& family, const Config& model)
      : source_(std::move(source)), naming_{&family, architecture_for(family, model)} {
    naming_.bare = naming_.architecture->bare;
    naming_.model = meaning_of(model);
    module_ = nn::find_module(model.at("type").as_string(), "model").make(source_.model);
    adapt(*module_, source_.recipe.lora);
    for (const auto& [name, tensor] : source_.weights) weights_.emplace(name, tensor);
    for (const auto& named : module_->named_tensors()) {
      if (is_update(named.name)) continue;
      for (const auto& part : placed(named.name, named.tensor->shape()).parts) {
        all_.insert(module_of(part.name));
      }
    }
  }

  void take_updates() {
    for (const auto& [path, layer] : module_->named_modules()) {
      const auto* linear = dynamic_cast<const nn::Linear*>(layer);
      if (linear == nullptr || !linear->lora) continue;
      const std::string ours = path + std::string(kWeight);
      const Placement placement = placed(ours, linear->weight.shape());
      transposed_ = transposed_ || placement.layout == Layout::transposed;
      for (Piece& piece :
           pieces_of(placement, weight(path + ".lora.down.weight"),
                     weight(path + ".lora.up.weight"), linear->lora->options().alpha)) {
        put(piece.module + ".lora_A.weight", piece.a);
        put(piece.module + ".lora_B.weight", piece.b);
        ranks_[{piece.a.size(0), piece.alpha}].insert(piece.module);
      }
    }
  }

  void take_saved() {
    for (const auto& named : module_->named_tensors()) {
      if (!named.trained || named.frozen || is_update(named.name)) continue;
      const Placement placement = placed(named.name, named.tensor->shape());
      const Tensor whole = weight(named.name);
      int64_t row = 0;
      for (const Placement::Part& part : placement.parts) {
        const bool leaf = part.name.ends_with(kWeight) || part.name.ends_with(".bias");
        if (!leaf) {
          fail_request("export: '{}' was trained whole, and PEFT cannot save it by itself",
                       named.name);
        }
        put(part.name, to_theirs(views::slice(whole, 0, row, row + part.rows), placement.layout));
        saved_.insert(module_of(part.name));
        row += part.rows;
      }
    }
  }

  Config config() const {
    // The commonest rank and alpha are the adapter's, others patterns.
    const auto main = std::max_element(
        ranks_.begin(), ranks_.end(),
        [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
    Config ranks = Config::map(), alphas = Config::map();
    std::set<std::string> targets;
    for (const auto& [kind, modules] : ranks_) {
      targets.insert(modules.begin(), modules.end());
      if (kind == main->first) continue;
      for (const std::string& module : modules) {
        if (kind.first != main->first.first) ranks.set(module, kind.first);
        if (kind.second != main->first.second) alphas.set(module, number(kind.second));
      }
    }
    const bool decoder = naming_.family->model == "gpt" || naming_.family->model == "llava";
    const Config* base = source_.carried ? given(*source_.carried, "_name_or_path") : nullptr;
    return Config::Map{
        {"peft_type", "LORA"},
        {"task_type", decoder ? Config("CAUSAL_LM") : Config()},
        {"base_model_name_or_path", base == nullptr ? Config() : *base},
        {"inference_mode", true},
        {"r", main->first.first},
        {"lora_alpha", number(main->first.second)},
        {"lora_dropout", source_.recipe.lora.dropout},
        {"target_modules", list_of(ends_of(targets, all_))},
        {"modules_to_save", saved_.empty() ? Config() : list_of({saved_.begin(), saved_.end()})},
        {"rank_pattern", ranks},
        {"alpha_pattern", alphas},
        {"bias", "none"},
        {"fan_in_fan_out", transposed_},
        {"init_lora_weights", true},
        {"use_rslora", false},
        {"use_dora", false}};
  }

  const NamedTensors& tensors() const { return tensors_; }

 private:
  Placement placed(const std::string& ours, const Shape& shape) const {
    Placement placement = placement_of(naming_, ours, shape);
    for (Placement::Part& part : placement.parts) {
      part.name = module_in_version_5(*naming_.family, part.name);
    }
    return placement;
  }

  Tensor weight(const std::string& name) const {
    const auto found = weights_.find(name);
    if (found == weights_.end()) fail_request("export: the checkpoint lacks '{}'", name);
    return found->second;
  }

  void put(const std::string& name, const Tensor& tensor) {
    tensors_.emplace_back(kAdapterPrefix + name, tensor);
  }

  Source source_;
  Naming naming_;
  std::unique_ptr<nn::Module> module_;
  std::map<std::string, Tensor> weights_;
  std::set<std::string> all_;                                          // their modules with tensors
  std::map<std::pair<int64_t, double>, std::set<std::string>> ranks_;  // of (rank, alpha)
  std::set<std::string> saved_;
  NamedTensors tensors_;
  bool transposed_ = false;
};

}  // namespace

Exported export_adapter(const std::string& run_or_checkpoint, const std::string& destination,
                        const Warning& warn) {
  const CheckpointInfo checkpoint = find_checkpoint(run_or_checkpoint, warn);
  const CheckpointContent content = read_checkpoint(checkpoint.path);
  Source source = read_source(checkpoint.path, content, Updates::apart);
  if (source.recipe.lora.rank == 0) {
    fail_request("export: {} was trained without low-rank updates (`lora.rank` is 0)",
                 checkpoint.path);
  }
  const Config model = with_hidden(source);
  const Family* family = family_for(source, model);
  if (family == nullptr) {
    fail_request("export: transformers has no such model of type '{}' that an adapter could be of",
                 model.at("type").as_string());
  }
  Writer writer(std::move(source), *family, model);
  writer.take_updates();
  writer.take_saved();
  Exported result{checkpoint.path, checkpoint.step, {}};
  appear_whole(destination, [&](const std::string& folder) {
    write_safetensors(join(folder, kAdapterWeights), writer.tensors(), {{"format", "pt"}});
    write_file_atomically(join(folder, kAdapterConfig), writer.config().to_json(2) + "\n");
  });
  for (const char* name : {kAdapterWeights, kAdapterConfig}) {
    result.files.push_back(join(destination, name));
  }
  return result;
}

}  // namespace heed::recipes
