#include "recipes/engine/hf/peft_import.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "nn/layers/linear.h"
#include "recipes/engine/checkpoint_files.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/peft_config.h"
#include "recipes/engine/hf/tensor_map.h"

namespace heed::recipes::hf {
namespace {

using checkpoint_files::join;

constexpr std::string_view kWeight = ".weight";

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

// One of their modules' update; without tensors where there is none.
struct Part {
  std::string module;
  int64_t rows = 0;  // of heed's output
  Tensor a = {}, b = {};
  double alpha = 0.0;

  double scale() const { return alpha / static_cast<double>(a.size(0)); }
};

class Reader {
 public:
  Reader(const std::string& folder, const Described& described)
      : path_(join(folder, kAdapterWeights)),
        config_(read_peft_config(read_json_file(join(folder, kAdapterConfig)))),
        file_(read_safetensors(path_)) {
    for (const auto& [name, tensor] : file_.tensors) theirs_.emplace(name, tensor);
    const std::string prefix = kAdapterPrefix + described.family->prefix;
    const bool bare = std::none_of(theirs_.begin(), theirs_.end(), [&](const auto& entry) {
      return entry.first.starts_with(prefix);
    });
    naming_ = {described.family, described.architecture, bare, meaning_of(described.model)};
  }

  Adapter read(nn::Module& module) {
    Adapter adapter;
    for (const auto& [path, layer] : module.named_modules()) {
      const auto* linear = dynamic_cast<const nn::Linear*>(layer);
      if (linear == nullptr) continue;
      std::vector<Part> parts = parts_of(path, *linear);
      if (std::any_of(parts.begin(), parts.end(), [](const Part& p) { return p.a.defined(); })) {
        adapter.updates.emplace(path, update_of(parts));
      }
    }
    for (const auto& named : module.named_tensors()) {
      if (const Tensor whole = saved(named.name, named.tensor->shape()); whole.defined()) {
        adapter.saved.emplace(named.name, whole);
        also_.insert(named.name.substr(0, named.name.rfind('.')));
      }
    }
    adapter.saved.insert(saved_.begin(), saved_.end());
    check_rest();
    if (adapter.updates.empty()) problem("holds no update of one of the model's linear layers");
    fail_if_any();
    adapter.file = file_;
    return adapter;
  }

  double dropout() const { return config_.dropout; }
  /// Heed's modules that were trained whole.
  const std::set<std::string>& also() const { return also_; }

 private:
  void problem(const std::string& text) { problems_.push_back(text); }

  // The tensor of that name below PEFT's prefix, or an undefined one.
  Tensor take(const std::string& name) {
    auto found = theirs_.find(kAdapterPrefix + name);
    if (found == theirs_.end()) {
      found = theirs_.find(kAdapterPrefix + module_in_version_5(*naming_.family, name));
    }
    if (found == theirs_.end()) return {};
    taken_.insert(found->first);
    if (!is_floating(found->second.dtype())) {
      problem(fmt::format("'{}' holds {}, which are no weights", found->first,
                          name_of(found->second.dtype())));
      return {};
    }
    return found->second;
  }

  std::vector<Part> parts_of(const std::string& path, const nn::Linear& linear) {
    const std::string ours = path + std::string(kWeight);
    const Placement placement = placement_of(naming_, ours, linear.weight.shape());
    std::vector<Part> parts;
    for (const Placement::Part& place : placement.parts) {
      Part part{place.name.substr(0, place.name.size() - kWeight.size()), place.rows};
      part.a = take(part.module + ".lora_A.weight");
      part.b = take(part.module + ".lora_B.weight");
      if (part.a.defined() != part.b.defined()) {
        problem(fmt::format("'{}' has one of lora_A and lora_B", part.module));
        part.a = part.b = {};
      }
      if (part.a.defined()) check_part(part, linear.weight.size(1));
      parts.push_back(part);
    }
    // PEFT saves the base's own beside an update of the embedding's size (lm_head).
    if (parts.size() == 1) {
      const Tensor base = take(parts[0].module + ".base_layer.weight");
      const Shape& shape = placement.parts[0].shape;
      if (base.defined() && base.shape() == shape) {
        saved_.emplace(ours, to_ours(base, placement.layout));
      } else if (base.defined()) {
        problem(fmt::format("'{}.base_layer.weight' has shape {}, expected {}", parts[0].module,
                            base.shape(), shape));
      }
    }
    return parts;
  }

  void check_part(Part& part, int64_t in) {
    const int64_t rank = config_.rank_of(part.module);
    const Shape a{rank, in}, b{part.rows, rank};
    if (!(part.a.shape() == a) || !(part.b.shape() == b)) {
      problem(fmt::format("'{}' has lora_A {} and lora_B {}, expected {} and {}", part.module,
                          part.a.shape(), part.b.shape(), a, b));
      part.a = part.b = {};
      return;
    }
    part.alpha = config_.own_alpha_of(part.module);
  }

  static Adapter::Update update_of(const std::vector<Part>& parts) {
    const Part& first = *std::find_if(parts.begin(), parts.end(),
                                      [](const Part& part) { return part.a.defined(); });
    if (parts.size() == 1) return {first.a, first.b, first.alpha};
    const bool shared = std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
      return part.a.defined() && part.alpha == first.alpha && same_bits(part.a, first.a) &&
             part.b.dtype() == first.b.dtype();
    });
    int64_t rank = 0, out = 0;
    bool one_dtype = first.a.dtype() == first.b.dtype();
    for (const Part& part : parts) {
      out += part.rows;
      if (!part.a.defined()) continue;
      rank += part.a.size(0);
      one_dtype =
          one_dtype && part.a.dtype() == first.a.dtype() && part.b.dtype() == first.a.dtype();
    }
    const DType dtype = one_dtype ? first.a.dtype() : DType::f32;
    Adapter::Update update{
        shared ? first.a : Tensor::zeros({rank, first.a.size(1)}, dtype),
        Tensor::zeros({out, shared ? first.a.size(0) : rank}, shared ? first.b.dtype() : dtype),
        shared ? first.alpha : first.scale() * static_cast<double>(rank)};
    int64_t row = 0, column = 0;
    for (const Part& part : parts) {
      const Tensor rows = views::slice(update.up, 0, row, row + part.rows);
      row += part.rows;
      if (shared) {
        kernels::copy(part.b, rows);
        continue;
      }
      if (!part.a.defined()) continue;
      const int64_t end = column + part.a.size(0);
      kernels::copy(part.a, views::slice(update.down, 0, column, end));
      // One update has one scale.
      const NoGrad no_grad;
      const Tensor b = part.scale() == first.scale()
                           ? part.b
                           : mul(kernels::cast(part.b, DType::f32), part.scale() / first.scale());
      kernels::copy(b, views::slice(rows, 1, column, end));
      column = end;
    }
    return update;
  }

  // A tensor of a module that was trained whole.
  Tensor saved(const std::string& ours, const Shape& shape) {
    const Placement placement = placement_of(naming_, ours, shape);
    std::vector<Tensor> parts;
    for (const Placement::Part& part : placement.parts) {
      const Tensor found = take(part.name);
      if (!found.defined()) continue;
      const std::string module = part.name.substr(0, part.name.rfind('.'));
      const bool listed =
          std::any_of(config_.saved.begin(), config_.saved.end(), [&](const std::string& name) {
            return ends_in(module, name) || module.find("." + name + ".") != std::string::npos ||
                   module.starts_with(name + ".");
          });
      if (!listed) problem(fmt::format("'{}' is of no module in 'modules_to_save'", part.name));
      if (found.shape() == part.shape) {
        parts.push_back(found);
      } else {
        problem(
            fmt::format("'{}' has shape {}, expected {}", part.name, found.shape(), part.shape));
      }
    }
    if (parts.empty()) return {};
    if (parts.size() < placement.parts.size()) {
      problem(fmt::format(
          "a part of '{}' is saved whole and another is not, which is one tensor here", ours));
      return {};
    }
    if (parts.size() == 1) return to_ours(parts[0], placement.layout);
    const Tensor whole = Tensor::empty(shape, parts[0].dtype());
    int64_t row = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      const int64_t end = row + placement.parts[i].rows;
      kernels::copy(to_ours(parts[i], placement.layout), views::slice(whole, 0, row, end));
      row = end;
    }
    return whole;
  }

  void check_rest() {
    for (const auto& [name, tensor] : theirs_) {
      if (taken_.contains(name)) continue;
      const bool bias = name.ends_with("base_layer.bias");
      const bool embedding = name.find(".lora_embedding_") != std::string::npos;
      problem(fmt::format("'{}' {}", name,
                          bias        ? "is a trained bias, which is not supported"
                          : embedding ? "updates an embedding, which is not supported"
                                      : "belongs to no linear layer of this model"));
    }
  }

  void fail_if_any() const {
    if (problems_.empty()) return;
    constexpr size_t kMost = 20;
    std::string message = fmt::format("{}: not an adapter of this model:", path_);
    for (size_t i = 0; i < std::min(kMost, problems_.size()); ++i) {
      message += "\n  " + problems_[i];
    }
    if (problems_.size() > kMost) {
      message += fmt::format("\n  and {} more", problems_.size() - kMost);
    }
    throw RequestError(message);
  }

  std::string path_;
  PeftConfig config_;
  SafetensorsFile file_;
  Naming naming_;
  std::map<std::string, Tensor> theirs_;
  std::set<std::string> taken_, also_;
  std::map<std::string, Tensor> saved_;  // of the base, as it was
  std::vector<std::string> problems_;
};

// "blocks.3.attn.qkv" as "blocks.*.attn.qkv".
std::string any_block(const std::string& path) {
  constexpr std::string_view kBlocks = "blocks.";
  if (!path.starts_with(kBlocks)) return path;
  const size_t end = path.find('.', kBlocks.size());
  return end == std::string::npos ? path : std::string(kBlocks) + "*" + path.substr(end);
}

// Globs that match these paths and no other linear layer.
std::vector<std::string> globs_of(const std::set<std::string>& paths, nn::Module& module) {
  std::vector<std::string> globs;
  for (const std::string& path : paths) {
    std::string glob = any_block(path);
    for (const auto& [other, layer] : module.named_modules()) {
      const bool matches = optim::glob_match(glob, other) && !paths.contains(other);
      if (matches && dynamic_cast<const nn::Linear*>(layer) != nullptr) glob = path;
    }
    if (std::find(globs.begin(), globs.end(), glob) == globs.end()) globs.push_back(glob);
  }
  return globs;
}

AdaptOptions options_of(const Adapter& adapter, const Reader& reader, nn::Module& module) {
  struct Same {
    int64_t rank;
    double alpha;
    std::set<std::string> paths;
  };
  std::vector<Same> kinds;
  for (const auto& [path, update] : adapter.updates) {
    const int64_t rank = update.down.size(0);
    const double alpha = update.alpha;
    auto kind = std::find_if(kinds.begin(), kinds.end(),
                             [&](const Same& k) { return k.rank == rank && k.alpha == alpha; });
    if (kind == kinds.end()) kind = kinds.insert(kinds.end(), {rank, alpha, {}});
    kind->paths.insert(path);
  }
  std::stable_sort(kinds.begin(), kinds.end(),
                   [](const Same& a, const Same& b) { return a.paths.size() > b.paths.size(); });
  AdaptOptions options;
  options.rank = kinds.front().rank;
  options.alpha = kinds.front().alpha;
  options.dropout = reader.dropout();
  options.targets = globs_of(kinds.front().paths, module);
  for (size_t i = 1; i < kinds.size(); ++i) {
    options.groups.push_back({globs_of(kinds[i].paths, module), kinds[i].rank, kinds[i].alpha});
  }
  options.also.assign(reader.also().begin(), reader.also().end());
  return options;
}

}  // namespace

Adapter read_adapter(const std::string& folder, const Described& described, nn::Module& module) {
  if (!std::filesystem::is_directory(folder)) {
    fail_request("{}: no such folder; give one with {} and {}", folder, kAdapterConfig,
                 kAdapterWeights);
  }
  for (const char* name : {kAdapterConfig, kAdapterWeights}) {
    if (!std::filesystem::exists(join(folder, name))) {
      fail_request("{}: holds no {}", folder, name);
    }
  }
  Reader reader(folder, described);
  Adapter adapter = reader.read(module);
  adapter.options = options_of(adapter, reader, module);
  return adapter;
}

void put_on(const Adapter& adapter, bool merged, std::vector<PendingTensor>& tensors) {
  for (PendingTensor& tensor : tensors) {
    const auto whole = adapter.saved.find(tensor.name);
    if (whole != adapter.saved.end()) {
      const auto written = tensor.written;
      tensor = pending(tensor.name, whole->second);
      tensor.written = written;
    }
    if (!merged || !tensor.name.ends_with(kWeight)) continue;
    const std::string path = tensor.name.substr(0, tensor.name.size() - kWeight.size());
    const auto found = adapter.updates.find(path);
    if (found == adapter.updates.end()) continue;
    tensor.make = [make = tensor.make, update = found->second] {
      const NoGrad no_grad;
      const Tensor weight = make();
      const DType dtype = weight.dtype() == DType::f64 ? DType::f64 : DType::f32;
      const Tensor product = matmul(kernels::contiguous_as(update.up, dtype),
                                    kernels::contiguous_as(update.down, dtype));
      const Tensor sum = add(kernels::contiguous_as(weight, dtype), mul(product, update.scale()));
      const Tensor rounded = Tensor::empty(weight.shape(), weight.dtype());
      kernels::copy(sum, rounded);
      return rounded;
    };
  }
  if (merged) return;
  for (const auto& [path, update] : adapter.updates) {
    tensors.push_back(pending(path + ".lora.down.weight", update.down));
    tensors.push_back(pending(path + ".lora.up.weight", update.up));
  }
}

}  // namespace heed::recipes::hf
