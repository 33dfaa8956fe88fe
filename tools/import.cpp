// heed import: a model folder in the Hugging Face format becomes a run of heed's.
#include "recipes/engine/hf/import.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "core/files.h"
#include "core/readable.h"
#include "recipes/engine/official/family.h"
#include "recipes/engine/official/import.h"
#include "tools/command.h"
#include "tools/metrics.h"

namespace heed::tools {
namespace {

struct ImportArguments {
  std::string folder;
  std::string destination;
  recipes::ImportedAdapter adapter = {};
  recipes::OfficialRequest official = {};
  bool json = false;
};

recipes::Imported import_any(const ImportArguments& arguments) {
  const recipes::OfficialRequest& official = arguments.official;
  if (!official.family.empty()) {
    if (!arguments.adapter.folder.empty()) {
      fail_request("import: an --adapter is of a model in the Hugging Face format");
    }
    return recipes::import_official(arguments.folder, arguments.destination, official);
  }
  if (!official.size.empty() || !official.options.empty()) {
    fail_request("import: --size and --set are for a --family, of which there is none");
  }
  if (std::filesystem::is_regular_file(arguments.folder)) {
    fail_request("{}: is a file; for a checkpoint of a paper's own code give its --family",
                 arguments.folder);
  }
  return recipes::import_model(arguments.folder, arguments.destination, print_warning,
                               arguments.adapter);
}

std::string family_names() {
  std::string names;
  for (const recipes::official::Family& family : recipes::official::families()) {
    names += (names.empty() ? "" : ", ") + family.name;
  }
  return names;
}

void import_folder(const ImportArguments& arguments) {
  if (arguments.adapter.merged && arguments.adapter.folder.empty()) {
    fail_request("import: --merge is for an --adapter, of which there is none");
  }
  const recipes::Imported imported = import_any(arguments);
  if (arguments.json) {
    print_json(Config::Map{{"checkpoint", imported.checkpoint},
                           {"model_type", imported.model_type},
                           {"model", imported.model},
                           {"tensors", imported.tensors},
                           {"parameters", imported.parameters},
                           {"bytes", imported.bytes},
                           {"updates", imported.updates}});
    return;
  }
  fmt::print("{} ({}, {} parameters, {}) is imported:\n  {}\n", arguments.folder,
             imported.model_type, grouped(imported.parameters), format_bytes(imported.bytes),
             imported.checkpoint);
  if (imported.updates > 0) {
    fmt::print("{} linear layers have the adapter's updates{}\n", imported.updates,
               arguments.adapter.merged ? ", merged into their weights" : "");
  }
}

}  // namespace

void add_import(CLI::App& heed) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* command =
      add_command(heed, "import", "takes in a model from elsewhere", "train and use");
  details(command,
          "Reads config.json, model.safetensors (or its shards) and tokenizer.json, as the Hugging "
          "Face hub has them: Llama, Mistral, Qwen2, Qwen3, GPT-2, BERT, RoBERTa, ViT and LLaVA. "
          "The new "
          "folder is a run: eval, generate and export take it, and so does train.from.\n\n"
          "With --family, the source is a checkpoint of a paper's own code (.pth or "
          ".safetensors); docs/interop.md has the table.");
  positional(command, "SOURCE", arguments->folder,
             "a folder with config.json and weights, or a checkpoint of a --family")
      ->required();
  positional(command, "FOLDER", arguments->destination, "the run's folder, which must be new")
      ->required();
  option(command, "--adapter", "FOLDER", arguments->adapter.folder,
         "a PEFT adapter (LoRA) of that model, to put onto it");
  command->add_flag("--merge", arguments->adapter.merged,
                    "add the adapter to the weights, instead of keeping it apart for training");
  option(command, "--family", "NAME", arguments->official.family, "one of: " + family_names());
  option(command, "--size", "NAME", arguments->official.size,
         "of the family, as its presets are called (mini, b0, 7-3x1)");
  option(command, "--set", "NAME=VALUE", arguments->official.options,
         "an option of the model other than the preset's (height=384)")
      ->allow_extra_args(false);
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command,
           {{"heed import downloads/SmolLM-135M runs/smollm", ""},
            {"heed generate runs/smollm --prompt 'Attention is'", ""},
            {"heed train runs/smollm/recipe.yaml train.from=runs/smollm 'data.files=[a.txt]' "
             "--out runs/tuned",
             ""},
            {"heed import downloads/SmolLM-135M runs/tuned --adapter downloads/adapter", ""},
            {"heed import downloads/nat_mini.pth runs/nat --family nat --size mini", ""}});
  command->callback([arguments] { import_folder(*arguments); });
}

}  // namespace heed::tools
