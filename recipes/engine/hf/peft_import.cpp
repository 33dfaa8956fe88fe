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
#include "recipes/engine/hf/problems.h"
#include "recipes/engine/hf/tensor_map.h"

namespace heed::recipes::hf {
namespace {

using checkpoint_files::join;

constexpr std::string_view kWeight = ".weight";

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

// f64 where one is, f32 where they differ otherwise.
DType common(DType a, DType b) {
  if (a == b) return a;
  return a == DType::f64 || b == DType::f64 ? DType::f64 : DType::f32;
}
// The dtype to compute in.
DType wide(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

// A tensor of the adapter's, and the name that its file has for the tensor's module: other versions
// of transformers have other ones.
struct Taken {
  Tensor tensor = {};
  std::string module = {};
};

// One of their modules' update; without tensors where there is none.
struct Part {
  std::string module;  // as the file names it
  int64_t rows = 0;    // of heed's output
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
      }
    }
    adapter.base = base_;
    adapter.dropout = config_.dropout;
    check_rest();
    if (adapter.updates.empty())
      problems_.add("holds no update of one of the model's linear layers");
    problems_.fail_if_any(path_, "not an adapter of this model");
    adapter.file = file_;
    return adapter;
  }

 private:
  // What the file calls a tensor, by our tables, by version 5 or by one in between.
  std::map<std::string, Tensor>::const_iterator find(const std::string& name) const {
    const Family& family = *naming_.family;
    std::vector<std::string> names = {name, module_in_version_5(family, name)};
    for (const auto& [now, other] : family.renamed) {
      if (name.starts_with(now)) names.push_back(other + name.substr(now.size()));
    }
    for (const std::string& each : names) {
      const auto found = theirs_.find(kAdapterPrefix + each);
      if (found != theirs_.end()) return found;
    }
    return theirs_.end();
  }

  // The tensor `module` + `leaf` below PEFT's prefix, or an undefined one.
  Taken take(const std::string& module, const std::string& leaf) {
    const auto found = find(module + leaf);
    if (found == theirs_.end()) return {};
    const auto& [name, tensor] = *found;
    taken_.insert(name);
    if (!is_floating(tensor.dtype())) {
      problems_.add("'{}' holds {}, which are no weights", name, name_of(tensor.dtype()));
      return {};
    }
    const size_t prefix = std::strlen(kAdapterPrefix);
    return {tensor, name.substr(prefix, name.size() - prefix - leaf.size())};
  }

  std::vector<Part> parts_of(const std::string& path, const nn::Linear& linear) {
    const std::string ours = path + std::string(kWeight);
    const Placement placement = placement_of(naming_, ours, linear.weight.shape());
    std::vector<Part> parts;
    for (const Placement::Part& place : placement.parts) {
      const std::string module = place.name.substr(0, place.name.size() - kWeight.size());
      const Taken a = take(module, ".lora_A.weight"), b = take(module, ".lora_B.weight");
      Part part{a.module, place.rows, a.tensor, b.tensor};
      if (part.a.defined() != part.b.defined()) {
        problems_.add("'{}' has one of lora_A and lora_B", a.module + b.module);
        part.a = part.b = {};
      }
      if (part.a.defined()) check_part(part, linear.weight.size(1));
      parts.push_back(part);
    }
    if (parts.size() == 1) take_base(ours, placement);
    return parts;
  }

  // PEFT saves the base's own beside an update of the embedding's size (lm_head).
  void take_base(const std::string& ours, const Placement& placement) {
    const Placement::Part& place = placement.parts[0];
    const Taken base =
        take(place.name.substr(0, place.name.size() - kWeight.size()), ".base_layer.weight");
    if (!base.tensor.defined()) return;
    if (base.tensor.shape() == place.shape) {
      base_.emplace(ours, to_ours(base.tensor, placement.layout));
    } else {
      problems_.add("'{}.base_layer.weight' has shape {}, expected {}", base.module,
                    base.tensor.shape(), place.shape);
    }
  }

  void check_part(Part& part, int64_t in) {
    const int64_t rank = config_.rank_of(part.module);
    const Shape a{rank, in}, b{part.rows, rank};
    if (!(part.a.shape() == a) || !(part.b.shape() == b)) {
      problems_.add("'{}' has lora_A {} and lora_B {}, expected {} and {}", part.module,
                    part.a.shape(), part.b.shape(), a, b);
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
    return shared ? stacked(parts) : apart(parts, first);
  }

  // All with one A: their B, one behind another.
  static Adapter::Update stacked(const std::vector<Part>& parts) {
    const Part& first = parts.front();
    int64_t out = 0, row = 0;
    for (const Part& part : parts) out += part.rows;
    Adapter::Update update{first.a, Tensor::zeros({out, first.a.size(0)}, first.b.dtype()),
                           first.alpha};
    for (const Part& part : parts) {
      kernels::copy(part.b, views::slice(update.up, 0, row, row + part.rows));
      row += part.rows;
    }
    return update;
  }

  // Each with its own A: blocks, with the scale of the first.
  static Adapter::Update apart(const std::vector<Part>& parts, const Part& first) {
    int64_t rank = 0, out = 0;
    DType dtype = common(first.a.dtype(), first.b.dtype());
    for (const Part& part : parts) {
      out += part.rows;
      if (!part.a.defined()) continue;
      rank += part.a.size(0);
      dtype = common(dtype, common(part.a.dtype(), part.b.dtype()));
      if (part.scale() != first.scale()) dtype = wide(dtype);  // which the product is rounded to
    }
    Adapter::Update update{Tensor::zeros({rank, first.a.size(1)}, dtype),
                           Tensor::zeros({out, rank}, dtype),
                           first.scale() * static_cast<double>(rank)};
    int64_t row = 0, column = 0;
    for (const Part& part : parts) {
      const Tensor rows = views::slice(update.up, 0, row, row + part.rows);
      row += part.rows;
      if (!part.a.defined()) continue;
      const int64_t end = column + part.a.size(0);
      kernels::copy(part.a, views::slice(update.down, 0, column, end));
      const NoGrad no_grad;
      const Tensor b = part.scale() == first.scale()
                           ? part.b
                           : mul(kernels::cast(part.b, dtype), part.scale() / first.scale());
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
      const size_t dot = part.name.rfind('.');
      const Taken found = take(part.name.substr(0, dot), part.name.substr(dot));
      if (!found.tensor.defined()) continue;
      if (!is_listed(found.module)) {
        problems_.add("'{}' is of no module in 'modules_to_save'", part.name);
      }
      if (found.tensor.shape() == part.shape) {
        parts.push_back(found.tensor);
      } else {
        problems_.add("'{}' has shape {}, expected {}", part.name, found.tensor.shape(),
                      part.shape);
      }
    }
    if (parts.empty()) return {};
    if (parts.size() < placement.parts.size()) {
      problems_.add("a part of '{}' is saved whole and another is not, which is one tensor here",
                    ours);
      return {};
    }
    if (parts.size() == 1) return to_ours(parts[0], placement.layout);
    DType dtype = parts[0].dtype();
    for (const Tensor& part : parts) dtype = common(dtype, part.dtype());
    const Tensor whole = Tensor::empty(shape, dtype);
    int64_t row = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      const int64_t end = row + placement.parts[i].rows;
      kernels::copy(to_ours(parts[i], placement.layout), views::slice(whole, 0, row, end));
      row = end;
    }
    return whole;
  }

  // Whether the module, or one around it, was saved whole.
  bool is_listed(const std::string& module) const {
    return std::any_of(config_.saved.begin(), config_.saved.end(), [&](const std::string& name) {
      return ends_in(module, name) || module.find("." + name + ".") != std::string::npos ||
             module.starts_with(name + ".");
    });
  }

  void check_rest() {
    for (const auto& [name, tensor] : theirs_) {
      if (taken_.contains(name)) continue;
      const bool bias = name.ends_with("base_layer.bias");
      const bool embedding = name.find(".lora_embedding_") != std::string::npos;
      problems_.add("'{}' {}", name,
                    bias        ? "is a trained bias, which is not supported"
                    : embedding ? "updates an embedding, which is not supported"
                                : "belongs to no linear layer of this model");
    }
  }

  std::string path_;
  PeftConfig config_;
  SafetensorsFile file_;
  Naming naming_;
  std::map<std::string, Tensor> theirs_;
  std::set<std::string> taken_;
  std::map<std::string, Tensor> base_;
  Problems problems_;
};

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
  return Reader(folder, described).read(module);
}

void put_on(const Adapter& adapter, bool merged, std::vector<PendingTensor>& tensors) {
  for (PendingTensor& tensor : tensors) {
    for (const auto* whole : {&adapter.base, &adapter.saved}) {
      const auto found = whole->find(tensor.name);
      if (found == whole->end()) continue;
      const auto written = tensor.written;
      tensor = pending(tensor.name, found->second);
      tensor.written = written;
    }
    if (!merged || !tensor.name.ends_with(kWeight)) continue;
    const std::string path = tensor.name.substr(0, tensor.name.size() - kWeight.size());
    const auto found = adapter.updates.find(path);
    if (found == adapter.updates.end()) continue;
    tensor.make = [make = tensor.make, update = found->second] {
      const NoGrad no_grad;
      const Tensor weight = make();
      const DType dtype =
          wide(common(weight.dtype(), common(update.up.dtype(), update.down.dtype())));
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
