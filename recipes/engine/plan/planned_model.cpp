#include "recipes/engine/plan/planned_model.h"

#include <algorithm>
#include <memory>

#include "distributed/gathered_blocks.h"
#include "nn/attention/linformer_attention.h"
#include "nn/models/classifier.h"
#include "nn/models/encoder.h"
#include "nn/models/gpt.h"
#include "nn/models/language_model.h"
#include "nn/models/vit.h"
#include "recipes/engine/task.h"

namespace heed::recipes {
namespace {

bool is_host(const std::string& type) {
  return type == "gpt" || type == "encoder" || type == "vit";
}

std::string type_in(const Config& section) {
  const Config* type = section.find("type");
  return type == nullptr ? "" : type->as_string();
}

bool ends_with_any(const std::string& name, std::initializer_list<const char*> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](const char* ending) { return name.ends_with(ending); });
}

/// The dimension that ranks of the tensor axis share (split_plan(), distributed/tensor_parallel.h);
/// -1: none. In attention and feed-forward layers the outputs of the first matrix and the inputs of
/// the second, and a model's vocabulary.
int tensor_dim(const std::string& type, const std::string& name) {
  if (ends_with_any(name, {"attn.qkv.weight", "attn.qkv.bias", "attn.sink", "mlp.up.weight",
                           "mlp.up.bias", "mlp.gate_up.weight", "mlp.gate_up.bias"})) {
    return 0;
  }
  if (ends_with_any(name, {"attn.out.weight", "mlp.down.weight"})) return 1;
  const bool of_gpt = type == "gpt" && (name == "head.weight" || name == "head.bias");
  const bool of_encoder = type == "encoder" && name == "mlm_bias";
  return of_gpt || of_encoder || (type != "vit" && name == "embed.weight") ? 0 : -1;
}

std::vector<int64_t> groups_of(const std::string& name, int64_t extent, const PlannedModel& m) {
  if (name.find("mlp.gate_up.") != std::string::npos) return {extent / 2, extent / 2};
  if (name.find("attn.qkv.") == std::string::npos) return {extent};
  return {m.heads * m.head_dim, m.kv_heads * m.head_dim, m.kv_heads * m.head_dim};
}

/// Of a host whose options are read.
void read_parameters(nn::Module& module, PlannedModel& model) {
  const BlockUnits units(module);
  model.units = units.count();
  const bool host = is_host(model.type);
  for (const auto& named : module.named_tensors()) {
    if (!named.trained) {
      model.buffer_bytes += named.tensor->bytes();
      continue;
    }
    PlannedParameter p;
    p.name = named.name;
    p.elements = named.tensor->numel();
    p.rank = named.tensor->rank();
    p.first_extent = p.rank == 0 ? 1 : named.tensor->size(0);
    p.trained = !named.frozen;
    p.unit = units.of(*named.tensor);
    if (host) {
      p.layer = p.unit - 1;
      const int dim = tensor_dim(model.type, p.name);
      if (dim >= 0) p.tensor_groups = groups_of(p.name, named.tensor->size(dim), model);
      p.over_sequence = ends_with_any(p.name, {"attn.key_projection", "attn.value_projection"});
      p.by_token = p.over_sequence || p.name == "position.weight";
    }
    model.parameters.push_back(std::move(p));
  }
}

template <class HostOptions>
void read_host(const HostOptions& o, PlannedModel& model) {
  model.layers = o.layers;
  model.dim = o.dim;
  model.heads = o.heads;
  model.kv_heads = o.heads;
  model.head_dim = o.dim / o.heads;
  model.gated = o.mlp == "swiglu";
  model.rms = o.norm == "rms_norm";
  model.checkpointing = o.checkpointing;
  model.attention = type_in(o.attention);
  if (model.attention != "softmax" && model.attention != "linformer")
    model.unplanned = "attention '" + model.attention + "'";
}

void read_gpt(const nn::GptOptions& o, PlannedModel& model) {
  read_host(o, model);
  if (o.head_dim > 0) model.head_dim = o.head_dim;
  if (o.kv_heads > 0) model.kv_heads = o.kv_heads;
  model.tokens = o.context;
  model.outputs = o.vocab;
  model.causal = true;
  model.head_norms = o.qk_norm;
  if (!o.attentions.empty()) model.unplanned = "several attentions in turn";
  if (o.parallel_residual) model.unplanned = "parallel branches";
  model.resizable = true;
  model.item = "sequences";
}

void read_encoder(const nn::EncoderOptions& o, PlannedModel& model) {
  read_host(o, model);
  model.tokens = o.context;
  model.outputs = o.mlm ? o.vocab : 0;
  model.masked = o.mlm;
  model.last_kept = o.mlm || o.pool == "cls";
  model.norm_first = o.norm_first;
  model.resizable = true;
  model.item = "sequences";
}

void read_vit(const nn::VitOptions& o, PlannedModel& model) {
  read_host(o, model);
  model.tokens = nn::vit_tokens(o);
  model.input_values = o.height * o.width * o.channels;
  model.last_kept = o.pool == "cls";
  model.branch_copies = o.layer_scale > 0.0 ? 2.0 : 0.0;
  if (o.drop_path > 0.0) {  // the first block drops nothing
    const double dropping = o.layers > 1 ? static_cast<double>(o.layers - 1) : 1.0;
    model.branch_copies += 2.0 * dropping / static_cast<double>(o.layers);
  }
  model.item = "images";
}

/// Width of the feed-forward layers' hidden features, as their matrices have it.
void read_hidden(PlannedModel& model) {
  for (const PlannedParameter& p : model.parameters) {
    if (p.name.ends_with("mlp.down.weight")) {
      model.hidden = p.elements / model.dim;
      return;
    }
  }
}

/// Whether the model's section says all that its shapes depend on.
bool is_complete(const Recipe& recipe, const std::string& type, const std::string& task) {
  if (type == "gpt") return nn::read_gpt_options(recipe.model).vocab > 0;
  if (type == "encoder") {
    const nn::EncoderOptions o = nn::read_encoder_options(recipe.model);
    return o.vocab > 0 && (task == "masked_language_modeling" || o.classes > 0);
  }
  if (type == "vit") {
    const nn::VitOptions o = nn::read_vit_options(recipe.model);
    return o.height > 0 && o.width > 0 && o.channels > 0 && o.classes > 0;
  }
  return false;
}

std::unique_ptr<nn::Module> module_of(const Config& config, const std::string& type) {
  if (type == "gpt") return nn::make_language_model(config);
  return nn::make_classifier(config);
}

/// Tasks whose loss is the model's own and nothing more.
bool is_plain(const std::string& task) {
  return task == "language_modeling" || task == "masked_language_modeling" ||
         task == "classification";
}

}  // namespace

int64_t PlannedModel::parameter_count() const {
  int64_t count = 0;
  for (const PlannedParameter& p : parameters) count += p.elements;
  return count;
}

double PlannedModel::matrix_flops() const {
  if (!known) return flops_of_row;
  double weights = 0.0;
  for (const PlannedParameter& p : parameters) {
    const bool used_by_token = p.layer >= 0 || p.name.starts_with("mlm_transform.");
    if (used_by_token && p.rank >= 2 && !p.by_token) weights += static_cast<double>(p.elements);
    if ((p.name.starts_with("patch_embed.") || p.name.starts_with("tokenizer.")) && p.rank >= 2)
      weights += static_cast<double>(p.elements);
  }
  weights += static_cast<double>(outputs * dim);
  return 2.0 * weights * static_cast<double>(tokens);
}

double PlannedModel::attention_flops() const {
  if (!known) return 0.0;
  const auto n = static_cast<double>(tokens);
  if (projected > 0) {
    return 4.0 * n * static_cast<double>(projected * layers * (heads + kv_heads) * head_dim);
  }
  const double pairs = causal ? n * (n + 1) / 2 : n * n;
  return 4.0 * pairs * static_cast<double>(layers * heads * head_dim);
}

PlannedModel PlannedModel::with_tokens(int64_t length) const {
  PlannedModel other = *this;
  other.tokens = length;
  for (PlannedParameter& p : other.parameters) {
    if (!p.by_token) continue;
    p.elements = p.elements / tokens * length;
    if (p.first_extent == tokens) p.first_extent = length;
  }
  return other;
}

PlannedModel planned_model(const Recipe& given) {
  Recipe recipe = given;
  PlannedModel model;
  model.type = type_in(recipe.model);
  const std::string task_type = type_in(recipe.task);
  const bool host = is_host(model.type);
  std::unique_ptr<Task> task;
  std::unique_ptr<nn::Module> own;
  if (task_type == "masked_language_modeling" && model.type == "encoder" &&
      !recipe.model.has("mlm")) {
    recipe.model.set("mlm", true);
  }
  if (host && is_plain(task_type) && recipe.lora.rank == 0 &&
      is_complete(recipe, model.type, task_type)) {
    own = module_of(recipe.model, model.type);
  } else {
    task = make_task(recipe, TaskUse::train);
    task->resolve(recipe);
  }
  if (model.type == "gpt") read_gpt(nn::read_gpt_options(recipe.model), model);
  if (model.type == "encoder") read_encoder(nn::read_encoder_options(recipe.model), model);
  if (model.type == "vit") read_vit(nn::read_vit_options(recipe.model), model);
  read_parameters(own ? *own : task->module(), model);
  if (host) {
    read_hidden(model);
    if (model.attention == "linformer") {
      const nn::LinformerOptions o =
          read_options<nn::LinformerOptions>(recipe.model.at("attention"), "attention linformer");
      model.projected = o.projected;
      model.resizable &= o.tokens == model.tokens;
    }
    // Pre-norm blocks leave their last branch to be added by the next norm's pass.
    model.kept_per_block = model.norm_first ? 2 : 1;
  }
  const auto rows = static_cast<double>(recipe.train.batch_size);
  if (task && model.type == "gpt" && std::string(task->item_name()) == "tokens") {
    model.tokens = task->items_per_step() / (recipe.train.batch_size * recipe.train.accumulation);
  }
  model.known = host && is_plain(task_type) && recipe.lora.rank == 0 && model.unplanned.empty();
  if (model.known) return model;

  if (!task) task = make_task(recipe, TaskUse::train);
  model.item = task->item_name();
  model.resizable = false;
  task->module().initialise(static_cast<uint64_t>(recipe.seed));
  model.measured_bytes = static_cast<double>(task->activation_bytes()) / rows;
  model.flops_of_row =
      task->flops_per_step() / (3.0 * rows * static_cast<double>(recipe.train.accumulation));
  return model;
}

}  // namespace heed::recipes
