// What the subcommands share: how one is declared and how its help reads.
//
//   void add_eval(CLI::App& heed) {
//     auto request = std::make_shared<EvalRequest>();
//     CLI::App* command = add_command(heed, "eval", "measures a trained model on held-out data");
//     positional(command, "RUN", request->run, "a run folder or a checkpoint")->required();
//     examples(command, {{"heed eval runs/quickstart", ""}});
//     command->callback([request] { eval(*request); });
//   }
//
// A callback returns when the work is done and throws heed::Error or heed::RequestError when not;
// main() turns these into messages and exit statuses.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"

namespace heed::tools {

/// A subcommand with its one-line summary, in a group of the parent's help.
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& summary,
                      const std::string& group = "commands");

/// Paragraphs between the usage line and the arguments.
void details(CLI::App* command, const std::string& text);

/// Last part of the help: command lines, each with a remark or "".
void examples(CLI::App* command, const std::vector<std::pair<std::string, std::string>>& lines);

/// An argument by position, shown as `name` ("key=value" is fine).
template <class T>
CLI::Option* positional(CLI::App* command, const std::string& name, T& value,
                        const std::string& doc) {
  return command->add_option("argument" + std::to_string(command->get_options().size()), value, doc)
      ->type_name(name);
}

/// `--name PLACEHOLDER`; the value it has now is shown as the default unless `show_default` is
/// false.
template <class T>
CLI::Option* option(CLI::App* command, const std::string& name, const std::string& placeholder,
                    T& value, const std::string& doc, bool show_default = true) {
  CLI::Option* made = command->add_option(name, value, doc)->type_name(placeholder);
  if (show_default) made->capture_default_str();
  return made;
}

/// The formatter of every help text.
class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
};

/// Prints the one document of --json.
void print_json(const Config& document);

// One function a subcommand, each in the file of its name.
void add_train(CLI::App& heed);
void add_tokenize(CLI::App& heed);
void add_eval(CLI::App& heed);
void add_generate(CLI::App& heed);
void add_embed(CLI::App& heed);
void add_export(CLI::App& heed);
void add_average(CLI::App& heed);
void add_import(CLI::App& heed);
void add_describe(CLI::App& heed);
void add_plan(CLI::App& heed);
void add_probe(CLI::App& heed);
void add_report(CLI::App& heed);
void add_reproduce(CLI::App& heed);
void add_compare(CLI::App& heed);
void add_bench(CLI::App& heed);
void add_list(CLI::App& heed);
void add_schema(CLI::App& heed);
void add_doctor(CLI::App& heed);

}  // namespace heed::tools
