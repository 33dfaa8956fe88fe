// heed export: a trained model in a form that others open.
#include "recipes/engine/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "core/readable.h"
#include "tools/command.h"
#include "tools/metrics.h"

namespace heed::tools {
namespace {

struct ExportArguments {
  std::string run;
  std::string destination;
  std::string format = "safetensors";
  double shard = 5.0;
  recipes::onnx::Sizes sizes;
  bool json = false;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

Config listed(const std::vector<std::string>& texts) {
  Config list = Config::list();
  for (const std::string& text : texts) list.append(text);
  return list;
}

void export_run(const ExportArguments& arguments) {
  constexpr double kGigabyte = 1e9, kMost = 1e9;
  const recipes::Exported exported = recipes::export_model(
      arguments.run, arguments.destination, arguments.format, print_warning,
      static_cast<int64_t>(std::min(arguments.shard, kMost) * kGigabyte), arguments.sizes);
  if (arguments.json) {
    const Config files = listed(exported.files);
    Config document = Config::map();
    document.set("checkpoint", exported.checkpoint);
    document.set("step", exported.step);
    document.set("format", arguments.format);
    document.set("files", files);
    if (arguments.format == "onnx") {
      document.set("inputs", listed(exported.inputs));
      document.set("outputs", listed(exported.outputs));
    }
    print_json(document);
    return;
  }
  fmt::print("{} (step {}) is exported:\n", exported.checkpoint, grouped(exported.step));
  for (const std::string& file : exported.files) fmt::print("  {}\n", file);
  if (!exported.inputs.empty()) fmt::print("from {}\n", joined(exported.inputs));
  if (!exported.outputs.empty()) fmt::print("to {}\n", joined(exported.outputs));
}

}  // namespace

void add_export(CLI::App& heed) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = add_command(
      heed, "export", "writes a trained model in a form that others open", "train and use");
  details(
      command,
      "safetensors: the weights under heed's own names, with a config.json of heed's options.\n"
      "hf: a folder that transformers opens (Llama, Mistral, Qwen2, Qwen3, GPT-2, BERT, RoBERTa, "
      "ViT and LLaVA shapes); of what it has not, such as a paper's attention in a decoder, "
      "config.json says so.\n"
      "peft: the low-rank updates of a run that was trained with `lora`, as an adapter that the "
      "peft package loads onto the base.\n"
      "onnx: one file that onnxruntime and others run (opset 18, f32): ids in and logits out, "
      "images [B, H, W, C] as heed has them. Its extents are fixed: --batch, --tokens, --height "
      "and --width say which. A model whose graph depends on what it reads, such as "
      "routing attention's clusters, has none, and the error says where.");
  positional(command, "RUN", arguments->run,
             "a run's folder (its latest good checkpoint), a checkpoint's folder, or for onnx a "
             "recipe, with fresh weights")
      ->required();
  positional(command, "DESTINATION", arguments->destination,
             "folder where the files go; made if need be, files of the same names are replaced "
             "(hf and peft: it must be new). onnx: the file")
      ->required();
  option(command, "--format", "NAME", arguments->format,
         "one of: " + joined(recipes::export_formats()));
  option(command, "--shard", "GB", arguments->shard,
         "hf: largest file of weights; onnx: with more, the weights go to a second file, "
         "DESTINATION.data (with more than 1.8 always)")
      ->check(CLI::PositiveNumber);
  option(command, "--batch", "N", arguments->sizes.batch, "onnx: rows of a batch")
      ->check(CLI::PositiveNumber);
  option(command, "--tokens", "N", arguments->sizes.tokens,
         "onnx: tokens of a row; 0: the model's context")
      ->check(CLI::NonNegativeNumber);
  option(command, "--height", "N", arguments->sizes.height, "onnx: of images; 0: the model's own")
      ->check(CLI::NonNegativeNumber);
  option(command, "--width", "N", arguments->sizes.width, "onnx: of images; 0: the model's own")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command, {{"heed export runs/quickstart exported", ""},
                     {"heed export runs/quickstart for-transformers --format hf", ""},
                     {"heed export runs/quickstart model.onnx --format onnx --tokens 64", ""}});
  command->callback([arguments] { export_run(*arguments); });
}

}  // namespace heed::tools
