// heed generate: text from a trained language model, pictures from a trained generator of images.
#include "recipes/engine/generate.h"

#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "core/readable.h"
#include "recipes/engine/evaluate.h"
#include "recipes/engine/picture_reader.h"
#include "tools/chat.h"
#include "tools/command.h"
#include "tools/metrics.h"

namespace heed::tools {
namespace {

struct GenerateArguments {
  std::string run;
  std::vector<std::string> overrides;
  std::string prompt;
  std::string image;
  std::optional<int64_t> max_tokens, top_k, seed;
  std::optional<double> temperature, top_p;
  std::vector<std::string> stop;
  bool greedy = false;
  std::string out;
  int64_t count = 0;
  bool json = false;
  ChatArguments chat;
};

// The recipe's own `samples:` settings, with what the command line says on top.
recipes::GenerateOptions options_of(const GenerateArguments& arguments) {
  recipes::GenerateOptions options = recipes::default_generate_options(arguments.run);
  if (arguments.max_tokens) options.max_tokens = *arguments.max_tokens;
  if (arguments.top_k) options.top_k = *arguments.top_k;
  if (arguments.seed) options.seed = *arguments.seed;
  if (arguments.temperature) options.temperature = *arguments.temperature;
  if (arguments.top_p) options.top_p = *arguments.top_p;
  if (!arguments.stop.empty()) options.stop = arguments.stop;
  if (arguments.greedy) options.greedy = true;
  // Through the option reader, so that ranges are checked as in a recipe.
  return read_options<recipes::GenerateOptions>(write_options(options), "generate");
}

void generate_pictures(const GenerateArguments& arguments) {
  const std::vector<std::string> files =
      recipes::generate_files(arguments.run, arguments.out, arguments.count, arguments.seed,
                              arguments.overrides, print_warning);
  if (!arguments.json) {
    for (const std::string& file : files) fmt::print("{}\n", file);
    return;
  }
  Config list = Config::list();
  for (const std::string& file : files) list.append(file);
  print_json(Config::Map{{"files", list}});
}

recipes::Generated about_image(const recipes::LoadedRun& run, const std::string& image,
                               const std::string& prompt, const recipes::GenerateOptions& options,
                               const recipes::TokenCallback& show) {
  auto* task = dynamic_cast<recipes::PictureReader*>(run.task.get());
  if (task == nullptr) {
    fail_request("generate: the task '{}' reads no images", run.task->name());
  }
  return task->generate_about(image, run.checkpoint.path, prompt, options, show);
}

void generate(const GenerateArguments& arguments) {
  if (!arguments.out.empty()) return generate_pictures(arguments);
  std::string prompt = arguments.prompt;
  if (prompt == "-") prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
  const recipes::GenerateOptions options = options_of(arguments);
  const recipes::LoadedRun run = recipes::load_run(arguments.run, recipes::TaskUse::generate,
                                                   arguments.overrides, print_warning);
  if (arguments.chat.wanted()) {
    if (!prompt.empty()) fail_request("--prompt is no turn of a conversation; --user is");
    if (!arguments.image.empty()) {
      fail_request("--image goes with --prompt; a conversation has no pictures");
    }
    return hold_chat(run, arguments.chat, options, arguments.json);
  }
  // An answer stands alone.
  bool started = run.task->samples() == recipes::Task::Samples::answers;
  const auto show = [&](const std::string& piece) {
    if (arguments.json) return;
    if (!started) fmt::print("{}", prompt);
    started = true;
    fmt::print("{}", piece);
    std::fflush(stdout);
  };
  const recipes::Generated generated =
      arguments.image.empty() ? run.task->generate(prompt, options, show)
                              : about_image(run, arguments.image, prompt, options, show);
  if (!generated.warning.empty()) print_warning(generated.warning);
  const double rate =
      generated.seconds > 0.0 ? static_cast<double>(generated.tokens) / generated.seconds : 0.0;
  if (arguments.json) {
    Config document = Config::map();
    document.set("prompt", prompt);
    document.set("text", generated.text);
    document.set("prompt_tokens", generated.prompt_tokens);
    document.set("tokens", generated.tokens);
    document.set("ids", Config::List(generated.ids.begin(), generated.ids.end()));
    document.set("prompt_seconds", generated.prompt_seconds);
    document.set("seconds", generated.seconds);
    document.set("tokens_per_second", rate);
    document.set("stopped_by", generated.stopped_by);
    print_json(document);
    return;
  }
  fmt::print("\n");
  std::fflush(stdout);
  fmt::print(stderr, "({} tokens in {}, {} tokens/s)\n", grouped(generated.tokens),
             duration_text(generated.seconds), compact(rate));
}

}  // namespace

void add_generate(CLI::App& heed) {
  auto arguments = std::make_shared<GenerateArguments>();
  CLI::App* command = add_command(
      heed, "generate", "writes text, or draws pictures, with a trained model", "train and use");
  details(
      command,
      "The prompt and its continuation go to standard output as they are made; of a task that "
      "writes one text for another, the answer alone. What is not given here is taken from the "
      "`samples` section of the run's recipe. A model of images draws into a PNG file (--out). "
      "With --chat, --user or --messages a language model answers in a conversation, written down "
      "by the chat template that it was imported with, until a token that ends its turns. Every "
      "--user is answered in its turn; without one, standard input is the user, line by line on a "
      "terminal.");
  positional(command, "RUN", arguments->run,
             "a run's folder (its latest good checkpoint) or a checkpoint's folder")
      ->required();
  positional(command, "key=value", arguments->overrides,
             "replaces fields of the run's recipe: evaluation.use_ema=false");
  option(command, "--prompt", "TEXT", arguments->prompt,
         "text to go on from, or to answer; - reads it from standard input", false);
  option(
      command, "--image", "FILE", arguments->image,
      "a JPEG or PNG file for a model that reads images; it stands where the prompt says <image>, "
      "or else in front",
      false);
  command->add_option("--max-tokens", arguments->max_tokens, "tokens to write at most")
      ->type_name("N");
  command
      ->add_option("--temperature", arguments->temperature,
                   "divides the logits: below 1 safer, above 1 wilder")
      ->type_name("T");
  command->add_option("--top-k", arguments->top_k, "draw from the K likeliest tokens; 0: from all")
      ->type_name("K");
  command
      ->add_option("--top-p", arguments->top_p,
                   "draw from the likeliest tokens that together have this probability")
      ->type_name("P");
  command->add_flag("--greedy", arguments->greedy, "always take the likeliest token");
  command->add_option("--stop", arguments->stop, "end at this text; may be given again")
      ->type_name("TEXT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_flag("--chat", arguments->chat.chat, "hold a conversation");
  command->add_option("--user", arguments->chat.user, "what the user says; may be given again")
      ->type_name("TEXT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--system", arguments->chat.system, "what stands above the conversation")
      ->type_name("TEXT")
      ->expected(1);
  option(command, "--messages", "FILE.json", arguments->chat.messages,
         "a conversation to go on with: [{\"role\": \"user\", \"content\": ...}, ...]; - reads "
         "standard input",
         false);
  option(command, "--chat-template", "FILE.jinja", arguments->chat.template_file,
         "instead of the model's own", false);
  option(command, "--out", "FILE.png", arguments->out, "where pictures go", false);
  command->add_option("--count", arguments->count, "how many pictures; 0: as the recipe says")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--seed", arguments->seed, "of the draws: equal seeds give equal results")
      ->type_name("N");
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command, {{"heed generate runs/quickstart --prompt 'template <' --max-tokens 300", ""},
                     {"heed generate runs/qwen --user 'Who wrote Faust?' --greedy", ""},
                     {"heed generate runs/shapes-ddpm --out shapes.png --count 36", ""},
                     {"heed generate runs/quickstart --greedy --stop ';' --json", ""}});
  command->callback([arguments] { generate(*arguments); });
}

}  // namespace heed::tools
