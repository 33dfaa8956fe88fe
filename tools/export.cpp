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
  bool json = false;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

void export_run(const ExportArguments& arguments) {
  constexpr double kGigabyte = 1e9, kMost = 1e9;
  const recipes::Exported exported =
      recipes::export_model(arguments.run, arguments.destination, arguments.format, print_warning,
                            static_cast<int64_t>(std::min(arguments.shard, kMost) * kGigabyte));
  if (arguments.json) {
    Config files = Config::list();
    for (const std::string& file : exported.files) files.append(file);
    Config document = Config::map();
    document.set("checkpoint", exported.checkpoint);
    document.set("step", exported.step);
    document.set("format", arguments.format);
    document.set("files", files);
    print_json(document);
    return;
  }
  fmt::print("{} (step {}) is exported:\n", exported.checkpoint, grouped(exported.step));
  for (const std::string& file : exported.files) fmt::print("  {}\n", file);
}

}  // namespace

void add_export(CLI::App& heed) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = add_command(
      heed, "export", "writes a trained model in a form that others open", "train and use");
  details(
      command,
      "safetensors: the weights under heed's own names, with a config.json of heed's options. "
      "hf: a folder that transformers opens (Llama, Mistral, Qwen2, Qwen3, GPT-2, BERT, RoBERTa, "
      "ViT and LLaVA shapes); of what it has not, such as a paper's attention in a decoder, "
      "config.json says so. peft: the low-rank updates of a run that was trained with `lora`, as "
      "an "
      "adapter that the peft package loads onto the base.");
  positional(command, "RUN", arguments->run,
             "a run's folder (its latest good checkpoint) or a checkpoint's folder")
      ->required();
  positional(command, "FOLDER", arguments->destination,
             "where the files go; made if need be, files of the same names are replaced (hf and "
             "peft: it must be new)")
      ->required();
  option(command, "--format", "NAME", arguments->format,
         "one of: " + joined(recipes::export_formats()));
  option(command, "--shard", "GB", arguments->shard, "hf: largest file of weights")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command, {{"heed export runs/quickstart exported", ""},
                     {"heed export runs/quickstart for-transformers --format hf", ""}});
  command->callback([arguments] { export_run(*arguments); });
}

}  // namespace heed::tools
