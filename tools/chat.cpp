#include "tools/chat.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <iterator>

#include "core/files.h"
#include "core/readable.h"
#include "recipes/engine/chat.h"
#include "tools/command.h"
#include "tools/metrics.h"

namespace heed::tools {
namespace {

Config message(const char* role, const std::string& content) {
  return Config::Map{{"role", role}, {"content", content}};
}

std::string standard_input() { return std::string(std::istreambuf_iterator<char>(std::cin), {}); }

// What was said before the first answer: a file's messages, then the flags'.
Config::List told(const ChatArguments& arguments) {
  Config::List messages;
  if (arguments.system.size() > 1) fail_request("--system: give it once");
  if (!arguments.messages.empty()) {
    const bool piped = arguments.messages == "-";
    const std::string name = piped ? "standard input" : arguments.messages;
    const Config file = parse_json(piped ? standard_input() : read_file(name), name);
    const Config* list = file.is_map() ? file.find("messages") : &file;
    if (list == nullptr || !list->is_list()) {
      fail_request(SourceLocation{name}, "expected a list of messages, or {\"messages\": [...]}");
    }
    messages = list->as_list();
  }
  if (!arguments.system.empty()) {
    messages.insert(messages.begin(), message("system", arguments.system[0]));
  }
  return messages;
}

Config as_json(const Config::List& messages, const recipes::Generated& generated) {
  return Config::Map{{"messages", messages},
                     {"text", generated.text},
                     {"prompt_tokens", generated.prompt_tokens},
                     {"tokens", generated.tokens},
                     {"ids", Config::List(generated.ids.begin(), generated.ids.end())},
                     {"prompt_seconds", generated.prompt_seconds},
                     {"seconds", generated.seconds},
                     {"stopped_by", generated.stopped_by}};
}

}  // namespace

void hold_chat(const recipes::LoadedRun& run, const ChatArguments& arguments,
               const recipes::GenerateOptions& options, bool json) {
  recipes::Chat chat(run, arguments.template_file);
  Config::List messages = told(arguments);
  recipes::Generated last;
  const auto answer = [&] {
    last = chat.answer(messages, options, [&](const std::string& piece) {
      if (json) return;
      fmt::print("{}", piece);
      std::fflush(stdout);
    });
    if (!last.warning.empty()) print_warning(last.warning);
    messages.push_back(message("assistant", last.text));
    if (json) return;
    fmt::print("\n");
    std::fflush(stdout);
    fmt::print(stderr, "({} tokens in {}, {})\n", grouped(last.tokens), duration_text(last.seconds),
               last.stopped_by);
  };

  // Every --user is a turn that is answered.
  for (const std::string& text : arguments.user) {
    messages.push_back(message("user", text));
    answer();
  }
  if (arguments.user.empty() && !arguments.messages.empty()) {
    answer();
  } else if (arguments.user.empty() && isatty(STDIN_FILENO) == 0) {
    messages.push_back(message("user", standard_input()));
    answer();
  } else if (arguments.user.empty()) {
    for (std::string line; fmt::print(stderr, "> "), std::getline(std::cin, line);) {
      if (line.empty()) continue;
      messages.push_back(message("user", line));
      answer();
    }
    fmt::print(stderr, "\n");
  }
  if (json && !last.stopped_by.empty()) print_json(as_json(messages, last));
}

}  // namespace heed::tools
