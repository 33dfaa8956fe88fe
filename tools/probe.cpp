// heed probe: one registered module by itself, for comparison with another framework.
#include "nn/probe.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "core/safetensors.h"
#include "recipes/engine/onnx/export.h"
#include "tools/command.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

struct ProbeArguments {
  std::string module;
  std::string config = "{}";
  std::string weights;
  std::string inputs;
  std::string out;
  std::string onnx;
  std::string device = "cpu";
  std::string dtype = "f32";
  int64_t seed = 1;
  bool grad = false;
  bool train = false;
};

// A file's content, or the text itself.
Config config_of(const std::string& text) {
  if (std::filesystem::is_regular_file(text)) return read_yaml_file(text);
  const std::string extension = std::filesystem::path(text).extension().string();
  if (extension == ".yaml" || extension == ".yml" || extension == ".json") {
    return read_yaml_file(text);  // says what is wrong with it
  }
  Config config = parse_yaml(text, "--config");
  if (config.is_null()) config = Config::map();
  if (!config.is_map()) {
    fail_request("probe: --config takes a YAML map ('{{width: 64}}') or a file of one, not '{}'",
                 text);
  }
  return config;
}

nn::NamedTensors tensors_of(const std::string& path) {
  return path.empty() ? nn::NamedTensors{} : read_safetensors(path).tensors;
}

/// The probed module, on the same inputs, as an ONNX file.
void write_onnx(const ProbeArguments& arguments, const nn::ModuleEntry& entry) {
  if (arguments.inputs.empty()) fail_request("probe: --onnx needs --inputs");
  if (arguments.train || dtype_from_name(arguments.dtype) != DType::f32)
    fail_request("probe: --onnx writes what a module does in f32 and in inference mode");
  const std::unique_ptr<nn::Module> module = entry.make(config_of(arguments.config));
  module->initialise(static_cast<uint64_t>(arguments.seed));
  if (!arguments.weights.empty()) nn::load_state_dict(*module, tensors_of(arguments.weights));
  recipes::onnx::write(recipes::onnx::model_of(
                           entry, *module, nn::probe_inputs(entry, tensors_of(arguments.inputs))),
                       arguments.onnx);
}

void probe(const ProbeArguments& arguments) {
  const nn::ModuleEntry& entry = nn::find_module(arguments.module);
  if (!device_from_name(arguments.device).is_cpu()) {
    fail_request("probe runs on the cpu alone, not on '{}'", arguments.device);
  }
  nn::ProbeOptions options;
  options.grad = arguments.grad;
  options.train = arguments.train;
  options.seed = static_cast<uint64_t>(arguments.seed);
  options.dtype = dtype_from_name(arguments.dtype);
  if (arguments.grad && arguments.inputs.empty()) {
    fail_request("probe: --grad needs --inputs");
  }
  const nn::NamedTensors result =
      nn::probe(entry, config_of(arguments.config), tensors_of(arguments.weights),
                tensors_of(arguments.inputs), options);
  write_safetensors(arguments.out, result);
  if (!arguments.onnx.empty()) write_onnx(arguments, entry);
  Table table;
  for (const auto& [name, tensor] : result) table.row({name, tensor.to_string()});
  fmt::print("{}: {} tensors in {}\n{}", entry.name, result.size(), arguments.out,
             table.to_string());
}

}  // namespace

void add_probe(CLI::App& heed) {
  auto arguments = std::make_shared<ProbeArguments>();
  CLI::App* command = add_command(
      heed, "probe", "runs one layer, attention, model or loss by itself", "look closer");
  details(command,
          "Without --inputs, writes the module's fresh parameters and buffers under their names.\n"
          "With --inputs (tensors named as the module's arguments, or x alone), writes the "
          "outputs: out, or out.0, out.1 and so on.\n"
          "With --grad, also grad.<input> and grad.<parameter> of sum(out * cot), where the "
          "inputs file gives cot (or cot.0 and so on); ones when it does not.");
  positional(command, "MODULE", arguments->module, "a name from `heed list`: linear, gpt")
      ->required();
  option(command, "--config", "YAML", arguments->config, "its options: a YAML map, or a file");
  option(command, "--weights", "FILE", arguments->weights,
         "safetensors of parameters and buffers; fresh ones when not given", false);
  option(command, "--inputs", "FILE", arguments->inputs, "safetensors of inputs and cotangents",
         false);
  option(command, "--out", "FILE", arguments->out, "safetensors to write", false)->required();
  option(command, "--onnx", "FILE", arguments->onnx,
         "also write the module, on inputs of these shapes, as an ONNX file", false);
  command->add_flag("--grad", arguments->grad, "also write gradients");
  command->add_flag("--train", arguments->train, "run in training mode (dropout)");
  option(command, "--seed", "N", arguments->seed, "of fresh parameters and of dropout");
  option(command, "--device", "NAME", arguments->device, "where it runs");
  option(command, "--dtype", "NAME", arguments->dtype,
         "f32, f64 (parameters too) or bf16 (activations)");
  examples(command,
           {{"heed probe linear --config '{in: 4, out: 8}' --out fresh.safetensors", ""},
            {"heed probe gpt --config gpt.yaml --weights w.safetensors --inputs in.safetensors "
             "--out out.safetensors --grad",
             ""}});
  command->callback([arguments] { probe(*arguments); });
}

}  // namespace heed::tools
