#include "recipes/engine/official/import.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "data/torch_file.h"
#include "nn/registry.h"
#include "recipes/engine/hf/files.h"
#include "recipes/engine/hf/problems.h"
#include "recipes/engine/hf/tensor_map.h"
#include "recipes/engine/official/family.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {
namespace {

using namespace official;

using Given = std::map<std::string, data::TorchTensor>;

Given read_file_of(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) fail_request("{}: no such file", path);
  Given given;
  if (path.ends_with(".safetensors")) {
    const auto file = std::make_shared<const SafetensorsFile>(read_safetensors(path));
    for (const auto& [name, tensor] : file->tensors) {
      given[name] = {name, tensor.dtype(), tensor.shape(),
                     [file, tensor = tensor] { return tensor; }};
    }
    return given;
  }
  for (data::TorchTensor& tensor : data::read_torch_file(path)) {
    const std::string name = tensor.name;
    given[name] = std::move(tensor);
  }
  return given;
}

void set_options(const std::vector<std::string>& options, Config& model) {
  for (const std::string& option : options) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos || equals == 0) {
      fail_request("import: '{}' is no option of the model; give NAME=VALUE", option);
    }
    const std::string key = option.substr(0, equals);
    model.set(key, parse_yaml(option.substr(equals + 1), "model." + key));
  }
}

// The weights' tensors of `module`, as they are written.
std::vector<PendingTensor> tensors_of(const Family& family, const Given& given, nn::Module& module,
                                      const std::string& path) {
  std::vector<PendingTensor> tensors;
  hf::Problems problems;
  std::map<std::string, bool> taken;
  for (const auto& named : module.named_tensors()) {
    const Shape shape = named.tensor->shape();
    const Place place = place_of(family, named.name, shape);
    if (place.name.empty()) {
      problems.add("'{}' has no place in it", named.name);
      continue;
    }
    const auto found = given.find(place.name);
    if (found == given.end()) {
      problems.add("'{}' is missing", place.name);
      continue;
    }
    taken[place.name] = true;
    const data::TorchTensor& tensor = found->second;
    const Shape wanted = hf::their_shape(shape, place.layout);
    if (!(tensor.shape == wanted)) {
      problems.add("'{}' has shape {}, expected {}", place.name, tensor.shape, wanted);
    } else if (!is_floating(tensor.dtype)) {
      problems.add("'{}' holds {}, which are no weights", place.name, name_of(tensor.dtype));
    }
    tensors.push_back(
        {named.name, tensor.dtype, shape,
         [read = tensor.read, layout = place.layout] { return hf::to_ours(read(), layout); }});
  }
  // Fixed positions lie in the file, and are computed here.
  const bool fixed = std::none_of(tensors.begin(), tensors.end(), [](const PendingTensor& t) {
    return t.name == "position.weight";
  });
  for (const auto& [name, tensor] : given) {
    const bool derived =
        std::any_of(family.derived.begin(), family.derived.end(),
                    [&, own = name](const std::string& ending) { return own.ends_with(ending); });
    if (taken.contains(name) || derived) continue;
    if (fixed && name == "classifier.positional_emb" && is_floating(tensor.dtype)) continue;
    problems.add("'{}' is no part of this model", name);
  }
  problems.fail_if_any(path, fmt::format("not the weights of this size of {}", family.name));
  return tensors;
}

}  // namespace

Imported import_official(const std::string& file, const std::string& destination,
                         const OfficialRequest& request) {
  const Family& family = find_family(request.family);
  Config model = model_of(family, request.size);
  set_options(request.options, model);
  const Given given = read_file_of(file);
  const auto head = given.find(place_of(family, "head.weight", Shape{1, 1}).name);
  if (!model.has("classes") && head != given.end() && head->second.shape.rank() == 2) {
    model.set("classes", head->second.shape[0]);
  }
  const nn::ModuleEntry& entry = nn::find_module(family.model, "model");
  model = entry.resolve(model);

  CheckpointContent content;
  Imported result;
  result.model_type = family.name;
  result.model = entry.name;
  {
    const auto module = entry.make(model);
    result.parameters = module->parameter_count();
    content.pending = tensors_of(family, given, *module, file);
  }
  result.tensors = static_cast<int64_t>(content.pending.size());
  for (const PendingTensor& tensor : content.pending) result.bytes += tensor.bytes();
  const Config recipe =
      Config::Map{{"name", hf::name_of_folder(destination)},
                  {"description",
                   fmt::format("imported: {} {} of {}", family.name, request.size, family.source)},
                  {"task", Config::Map{{"type", "classification"}}},
                  {"model", model},
                  {"data", Config::Map{{"type", "image-folder"}, {"train", ""}}}};
  content.recipe_yaml = to_config(recipe_from_config(recipe)).to_yaml();
  result.checkpoint = hf::write_run(content, destination);
  return result;
}

}  // namespace heed::recipes
