#include "recipes/engine/image_prompt.h"

#include <filesystem>

#include "autograd/ops/view.h"
#include "core/config.h"
#include "core/files.h"
#include "recipes/engine/checkpoint_files.h"
#include "recipes/engine/hf/family.h"
#include "recipes/engine/hf/files.h"

namespace heed::recipes {

using checkpoint_files::join;

// A file of its own, or, as version 5 has it, a part of the processor's.
Config kept_image_config(const std::string& assets) {
  const auto path = [&](const char* name) { return join(assets, std::string(hf::kKept) + name); };
  if (const std::string own = path("preprocessor_config.json"); std::filesystem::exists(own)) {
    return read_json_file(own);
  }
  if (const std::string all = path("processor_config.json"); std::filesystem::exists(all)) {
    const Config config = read_json_file(all);
    if (const Config* part = hf::given(config, "image_processor")) return *part;
  }
  return {};
}

Tensor read_picture(const std::string& file, const data::ImageProcessor& processor) {
  const MappedFile bytes(file);
  return unsqueeze(processor.read(bytes.bytes(), file), 0);
}

Tensor read_image_prompt(const std::string& file, const std::string& assets, const Shape& shape) {
  const Config config = kept_image_config(assets);
  return read_picture(file, {config.is_null() ? Config::map() : config, shape});
}

}  // namespace heed::recipes
