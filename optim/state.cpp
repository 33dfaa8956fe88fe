#include "optim/state.h"

#include <unordered_map>

#include "kernels/copy/copy.h"

namespace heed::optim {

void load_tensors(const std::string& what, const NamedTensors& to, const NamedTensors& from) {
  std::unordered_map<std::string, const Tensor*> given;
  for (const auto& [name, tensor] : from) given[name] = &tensor;
  std::string problems;
  for (const auto& [name, tensor] : to) {
    const auto found = given.find(name);
    if (found == given.end()) {
      problems += fmt::format("\n  '{}' is missing", name);
      continue;
    }
    const Tensor& source = *found->second;
    if (source.shape() != tensor.shape() || source.dtype() != tensor.dtype()) {
      problems += fmt::format("\n  '{}' is {}, needs {}", name, source, tensor);
    }
    given.erase(found);
  }
  for (const auto& [name, tensor] : from) {
    if (given.contains(name)) problems += fmt::format("\n  '{}' is not known", name);
  }
  if (!problems.empty()) fail_request("{} does not fit:{}", what, problems);

  given.clear();
  for (const auto& [name, tensor] : from) given[name] = &tensor;
  for (const auto& [name, tensor] : to) {
    kernels::copy(*given.at(name), tensor);
  }
}

}  // namespace heed::optim
