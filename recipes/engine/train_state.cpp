#include "recipes/engine/train_state.h"

#include "recipes/engine/state.pb.h"

namespace heed::recipes {
namespace {

void add_values(google::protobuf::RepeatedPtrField<proto::NamedValue>& to,
                const std::vector<std::pair<std::string, double>>& values) {
  for (const auto& [name, value] : values) {
    proto::NamedValue* entry = to.Add();
    entry->set_name(name);
    entry->set_value(value);
  }
}

std::vector<std::pair<std::string, double>> values_of(
    const google::protobuf::RepeatedPtrField<proto::NamedValue>& from) {
  std::vector<std::pair<std::string, double>> values;
  for (const proto::NamedValue& entry : from) values.emplace_back(entry.name(), entry.value());
  return values;
}

}  // namespace

std::string serialize_state(const TrainState& state) {
  proto::State message;
  message.set_library_version(HEED_VERSION);
  message.set_step(state.step);
  message.set_seed(state.seed);
  message.set_items(state.items);
  message.set_data_json(state.data.to_json());
  message.set_seconds(state.seconds);
  if (state.has_best) {
    message.mutable_best()->set_step(state.best_step);
    message.mutable_best()->set_value(state.best_value);
    add_values(*message.mutable_best()->mutable_metrics(), state.best_metrics);
  }
  add_values(*message.mutable_last_metrics(), state.last_metrics);
  add_values(*message.mutable_baselines(), state.baselines);
  proto::Mesh* mesh = message.mutable_mesh();
  mesh->set_data(state.mesh.data);
  mesh->set_pipeline(state.mesh.pipeline);
  mesh->set_sequence(state.mesh.sequence);
  mesh->set_tensor(state.mesh.tensor);
  return message.SerializeAsString();
}

TrainState parse_state(const std::string& bytes, const std::string& path) {
  proto::State message;
  if (!message.ParseFromString(bytes)) fail_request("{}: not a training state", path);
  TrainState state;
  state.step = message.step();
  state.seed = message.seed();
  state.items = message.items();
  state.data = parse_json(message.data_json(), path);
  const auto check = [&path](bool good, const char* what, auto value) {
    if (!good) fail_request("{}: a damaged training state: {} {}", path, what, value);
  };
  check(state.data.is_map() || state.data.is_null(), "the place in the data is", state.data.kind());
  check(state.step >= 0, "step", state.step);
  check(state.items >= 0, "items", state.items);
  state.seconds = message.seconds();
  if (message.has_mesh()) {
    const proto::Mesh& mesh = message.mesh();
    state.mesh = {mesh.data(), mesh.pipeline(), mesh.sequence(), mesh.tensor()};
    constexpr int64_t kMost = 1 << 20;  // of an axis, so that products fit
    for (const int64_t ranks : {mesh.data(), mesh.pipeline(), mesh.sequence(), mesh.tensor()}) {
      check(ranks >= 1 && ranks <= kMost, "a mesh axis of", ranks);
    }
    check(state.mesh.data * state.mesh.pipeline <= kMost &&
              state.mesh.sequence * state.mesh.tensor <= kMost,
          "a mesh of", state.mesh.to_string());
  }
  state.has_best = message.has_best();
  state.best_step = message.best().step();
  state.best_value = message.best().value();
  state.best_metrics = values_of(message.best().metrics());
  state.last_metrics = values_of(message.last_metrics());
  state.baselines = values_of(message.baselines());
  return state;
}

}  // namespace heed::recipes
