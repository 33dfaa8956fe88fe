// heed import: a model folder in the Hugging Face format becomes a run of heed's.
#include "recipes/engine/hf/import.h"

#include <fmt/format.h>

#include <memory>

#include "core/files.h"
#include "core/readable.h"
#include "tools/command.h"
#include "tools/metrics.h"

namespace heed::tools {
namespace {

struct ImportArguments {
  std::string folder;
  std::string destination;
  bool json = false;
};

void import_folder(const ImportArguments& arguments) {
  const recipes::Imported imported =
      recipes::import_model(arguments.folder, arguments.destination, print_warning);
  if (arguments.json) {
    print_json(Config::Map{{"checkpoint", imported.checkpoint},
                           {"model_type", imported.model_type},
                           {"model", imported.model},
                           {"tensors", imported.tensors},
                           {"parameters", imported.parameters},
                           {"bytes", imported.bytes}});
    return;
  }
  fmt::print("{} ({}, {} parameters, {}) is imported:\n  {}\n", arguments.folder,
             imported.model_type, grouped(imported.parameters), format_bytes(imported.bytes),
             imported.checkpoint);
}

}  // namespace

void add_import(CLI::App& heed) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* command =
      add_command(heed, "import", "takes in a model from elsewhere", "train and use");
  details(command,
          "Reads config.json, model.safetensors (or its shards) and tokenizer.json, as the Hugging "
          "Face hub has them: Llama, Mistral, Qwen2, Qwen3, GPT-2, BERT, RoBERTa and ViT. The new "
          "folder is a run: eval, generate and export take it, and so does train.from.");
  positional(command, "SOURCE", arguments->folder, "a folder with config.json and weights")
      ->required();
  positional(command, "FOLDER", arguments->destination, "the run's folder, which must be new")
      ->required();
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command,
           {{"heed import downloads/SmolLM-135M runs/smollm", ""},
            {"heed generate runs/smollm --prompt 'Attention is'", ""},
            {"heed train runs/smollm/recipe.yaml train.from=runs/smollm 'data.files=[a.txt]' "
             "--out runs/tuned",
             ""}});
  command->callback([arguments] { import_folder(*arguments); });
}

}  // namespace heed::tools
