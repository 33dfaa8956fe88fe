#include "recipes/engine/hf/import_tensors.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "core/tensor_bytes.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "recipes/engine/hf/config_map.h"
#include "recipes/engine/hf/problems.h"
#include "recipes/engine/hf/tensor_map.h"

namespace heed::recipes::hf {
namespace {

// The name that files from TensorFlow have for a norm's weight or bias.
std::string older(std::string name) {
  for (const auto& [now, old] : {std::pair{".weight", ".gamma"}, std::pair{".bias", ".beta"}}) {
    if (name.ends_with(now)) {
      return name.replace(name.size() - std::strlen(now), std::string::npos, old);
    }
  }
  return name;
}

class Importer {
 public:
  Importer(const Described& described, const std::shared_ptr<const SafetensorsFile>& file,
           const std::string& path)
      : family_(*described.family), file_(file), path_(path) {
    for (const auto& [name, tensor] : file->tensors) theirs_.emplace(name, tensor);
    const bool bare = std::none_of(theirs_.begin(), theirs_.end(), [&](const auto& entry) {
      return entry.first.starts_with(family_.prefix);
    });
    naming_ = {&family_, described.architecture, bare, meaning_of(described.model)};
  }

  PendingTensor take(const std::string& ours, const Shape& shape) {
    const Placement placement = placement_of(naming_, ours, shape);
    std::vector<Tensor> parts;
    for (const Placement::Part& part : placement.parts) {
      if (const Tensor found = find(part); found.defined()) parts.push_back(found);
    }
    if (parts.size() < placement.parts.size()) return {};
    const DType dtype = parts.front().dtype();
    for (size_t i = 0; i < parts.size(); ++i) {
      if (!is_floating(parts[i].dtype())) {
        problems_.add("'{}' holds {}, which are no weights", placement.parts[i].name,
                      name_of(parts[i].dtype()));
      } else if (parts[i].dtype() != dtype) {
        problems_.add("'{}' holds {}, and '{}', which is one with it, {}", placement.parts[i].name,
                      name_of(parts[i].dtype()), placement.parts[0].name, name_of(dtype));
      }
    }
    const auto make = [parts, shape, layout = placement.layout] {
      if (parts.size() == 1) return to_ours(parts[0], layout);
      const Tensor whole = Tensor::empty(shape, parts[0].dtype());
      int64_t row = 0;
      for (const Tensor& part : parts) {
        const Tensor own = to_ours(part, layout);
        kernels::copy(own, views::slice(whole, 0, row, row + own.size(0)));
        row += own.size(0);
      }
      return whole;
    };
    const auto written = [parts, file = file_] {
      for (const Tensor& part : parts) file->release(part);
    };
    return {ours, dtype, shape, make, written};
  }

  /// Throws for what is missing or wrong, and tells what was left.
  void finish(const Warning& warn) {
    std::vector<std::string> other;
    for (const auto& [name, tensor] : theirs_) {
      if (taken_.contains(name) || says_nothing(name, tensor)) continue;
      if (bare_name(name).starts_with(family_.block) ||
          name.find("." + family_.block) != std::string::npos) {
        problems_.add("'{}' is no part of this model", name);
      } else {
        other.push_back(name);
      }
    }
    problems_.fail_if_any(path_, "the weights are not those that config.json describes");
    if (!other.empty() && warn) {
      warn(fmt::format("{}: left out, since the model has no such part: {}", path_,
                       fmt::join(other, ", ")));
    }
  }

 private:
  Tensor find(const Placement::Part& part) {
    auto found = theirs_.find(part.name);
    if (found == theirs_.end()) found = theirs_.find(older(part.name));
    for (const auto& [now, other] : family_.renamed) {
      if (found != theirs_.end() || !part.name.starts_with(now)) continue;
      found = theirs_.find(other + part.name.substr(now.size()));
    }
    if (found == theirs_.end()) {
      problems_.add("'{}' is missing", part.name);
      return {};
    }
    taken_.insert(found->first);
    if (found->second.shape() == part.shape) return found->second;
    problems_.add("'{}' has shape {}, expected {}", part.name, found->second.shape(), part.shape);
    return {};
  }

  std::string bare_name(const std::string& name) const {
    return name.starts_with(family_.prefix) ? name.substr(family_.prefix.size()) : name;
  }

  // Tensors that follow from others, or repeat them.
  bool says_nothing(const std::string& name, const Tensor& tensor) {
    for (const std::string& ending : family_.derived) {
      if (name.ends_with(ending)) return true;
    }
    for (const auto& [copy, of] : family_.tied) {
      const std::string original = naming_.bare ? bare_name(of) : of;
      if (name != copy || !theirs_.contains(original)) continue;
      const Tensor& other = theirs_.at(original);
      const bool same =
          other.shape() == tensor.shape() && other.dtype() == tensor.dtype() &&
          std::memcmp(other.raw(), tensor.raw(), static_cast<size_t>(tensor.bytes())) == 0;
      file_->release(other);
      file_->release(tensor);
      if (same) return true;
      problems_.add("'{}' is not '{}', though config.json ties them", name, original);
      return true;
    }
    return false;
  }

  const Family& family_;
  std::shared_ptr<const SafetensorsFile> file_;
  std::string path_;
  Naming naming_;
  std::map<std::string, Tensor> theirs_;
  std::set<std::string> taken_;
  Problems problems_;
};

}  // namespace

std::vector<PendingTensor> import_tensors(const Described& described, nn::Module& module,
                                          const std::shared_ptr<const SafetensorsFile>& file,
                                          const std::string& path, const Warning& warn) {
  Importer importer(described, file, path);
  std::vector<PendingTensor> tensors;
  for (const auto& named : module.named_tensors()) {
    tensors.push_back(importer.take(named.name, named.tensor->shape()));
  }
  importer.finish(warn);
  return tensors;
}

}  // namespace heed::recipes::hf
