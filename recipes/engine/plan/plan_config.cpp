// A plan as one document.
#include "recipes/engine/plan/plan.h"

namespace heed::recipes {
namespace {

Config config_of(const MeshShape& mesh) {
  Config map = Config::map();
  map.set("data", mesh.data);
  map.set("pipeline", mesh.pipeline);
  map.set("sequence", mesh.sequence);
  map.set("tensor", mesh.tensor);
  return map;
}

Config config_of(const RankMemory& memory) {
  Config map = Config::map();
  map.set("parameters", memory.parameters);
  map.set("gradients", memory.gradients);
  map.set("optimizer", memory.optimizer);
  map.set("ema", memory.average);
  map.set("activations", memory.activations);
  map.set("attention", memory.attention);
  map.set("working", memory.working);
  map.set("communication", memory.communication);
  map.set("total", memory.total);
  return map;
}

Config config_of(const StepTraffic& traffic) {
  Config map = Config::map();
  const auto add = [&map](const char* axis, const AxisTraffic& sent) {
    Config one = Config::map();
    one.set("bytes", sent.bytes);
    one.set("messages", sent.messages);
    map.set(axis, std::move(one));
  };
  add("data", traffic.data);
  add("pipeline", traffic.pipeline);
  add("sequence", traffic.sequence);
  add("tensor", traffic.tensor);
  return map;
}

Config config_of(const StepTime& time) {
  Config map = Config::map();
  map.set("products", time.products);
  map.set("memory", time.memory);
  map.set("data", time.data);
  map.set("pipeline", time.pipeline);
  map.set("sequence", time.sequence);
  map.set("tensor", time.tensor);
  map.set("waiting", time.waiting);
  map.set("total", time.total());
  return map;
}

Config config_of(const PlannedRun& run) {
  Config map = Config::map();
  map.set("mesh", config_of(run.share.mesh));
  map.set("shard", name_of(run.share.sharding));
  map.set("method", name_of(run.share.method));
  map.set("checkpointing", run.share.checkpointing);
  map.set("micro_batches", run.share.micro_batches);
  map.set("rows_per_micro_batch", run.share.rows);
  map.set("fits", run.fits);
  map.set("memory_bytes", config_of(run.memory));
  map.set("sent", config_of(run.traffic));
  map.set("seconds", config_of(run.time));
  return map;
}

}  // namespace

Config to_config(const Plan& plan) {
  Config document = Config::map();
  document.set("name", plan.name);
  document.set("ranks", plan.request.ranks);
  document.set("machine", write_options(plan.request.machine));
  document.set("precision", plan.precision);
  document.set("parameters", plan.model.parameter_count());
  document.set("rows_per_step", plan.rows_per_step);
  document.set("tokens_per_row", plan.model.tokens);
  document.set("memory_limit_bytes", plan.request.machine.usable_bytes());
  document.set("best", config_of(plan.best));
  Config by_sharding = Config::map();
  for (size_t i = 0; i < plan.by_sharding.size(); ++i) {
    by_sharding.set(name_of(kShardings[i]), config_of(plan.by_sharding[i]));
  }
  document.set("memory_by_sharding", std::move(by_sharding));
  Config by_stage = Config::list();
  for (const RankMemory& memory : plan.by_stage) by_stage.append(config_of(memory));
  document.set("memory_by_stage", std::move(by_stage));
  document.set(
      plan.best.share.checkpointing ? "memory_without_checkpointing" : "memory_with_checkpointing",
      config_of(plan.other_checkpointing));
  Config others = Config::list();
  for (const PlannedRun& run : plan.others) others.append(config_of(run));
  document.set("others", std::move(others));
  document.set("meshes", plan.meshes);
  document.set("longest_tokens", plan.longest_tokens);
  document.set("largest_rows", plan.largest_rows);
  document.set("tokens_per_second", plan.tokens_per_second());
  Config command = Config::list();
  for (const std::string& word : run_command(plan)) command.append(Config(word));
  document.set("command", std::move(command));
  return document;
}

}  // namespace heed::recipes
