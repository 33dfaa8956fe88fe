#include "nn/models/image_model.h"

#include "nn/registry.h"

namespace heed::nn {
namespace {

// Whether the model's options have a key of that name.
bool takes(const Config& schema, const char* key) { return schema.at("properties").has(key); }

void settle(Config& config, const ModuleEntry& entry, const Config& schema, const char* key,
            int64_t data) {
  if (data <= 0) return;
  if (!takes(schema, key)) {
    if (std::string(key) != "frames") return;
    fail_request(config.where(), fmt::format("model {}: takes images, but the data has clips of "
                                             "{} frames",
                                             entry.name, data));
  }
  const Config* given = config.find(key);
  const int64_t own = given == nullptr || given->is_null() ? 0 : given->as_integer();
  if (own == 0) {
    config.set(key, data);
  } else if (own != data && (std::string(key) != "classes" || own < data)) {
    fail_request(given->where(), fmt::format("model {}: {} is {}, but the data has {}", entry.name,
                                             key, own, data));
  }
}

// The registry's entry that the config's `type` names.
const ModuleEntry& entry_of(const Config& config) {
  const Config* type = config.is_null() ? nullptr : config.find("type");
  if (type == nullptr) fail_request(config.where(), "an image model's config needs a `type`");
  return find_module(type->as_string(), "model", type->where());
}

}  // namespace

bool enlarges(const Config& config) { return takes(entry_of(config).schema(), "scale"); }

std::unique_ptr<ImageModel> make_image_model(const Config& config, const ImageGeometry& data) {
  const ModuleEntry& entry = entry_of(config);
  const Config schema = entry.schema();
  Config own = config;
  settle(own, entry, schema, "frames", data.frames);
  settle(own, entry, schema, "height", data.height);
  settle(own, entry, schema, "width", data.width);
  settle(own, entry, schema, "channels", data.channels);
  settle(own, entry, schema, "outputs", data.outputs);
  settle(own, entry, schema, "classes", data.classes);
  settle(own, entry, schema, "scale", data.scale);
  if (data.timed && takes(schema, "time")) {
    const Config* time = own.find("time");
    if (time != nullptr && time->is_bool() && !time->as_bool()) {
      fail_request(time->where(),
                   fmt::format("model {}: without times it is no denoiser", entry.name));
    }
    own.set("time", true);
  }
  std::unique_ptr<Module> made = entry.make(own);
  auto* model = dynamic_cast<ImageModel*>(made.get());
  if (model == nullptr) {
    fail_request(config.at("type").where(),
                 "model '" + entry.name + "' does not turn images into images");
  }
  made.release();
  return std::unique_ptr<ImageModel>(model);
}

}  // namespace heed::nn
