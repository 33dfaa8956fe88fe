#include "recipes/engine/hf/family.h"

#include <algorithm>

namespace heed::recipes::hf {

const Config* given(const Config& config, const std::string& key) {
  const Config* value = config.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const std::vector<Family>& families() {
  static const std::vector<Family> all = [] {
    std::vector<Family> tables;
    for (const auto& some :
         {llama_families(), gpt2_families(), bert_families(), vit_families(), llava_families()}) {
      tables.insert(tables.end(), some.begin(), some.end());
    }
    return tables;
  }();
  return all;
}

const Family* find_family(const std::string& model_type) {
  const auto found = std::find_if(families().begin(), families().end(),
                                  [&](const Family& f) { return f.model_type == model_type; });
  return found == families().end() ? nullptr : &*found;
}

}  // namespace heed::recipes::hf
