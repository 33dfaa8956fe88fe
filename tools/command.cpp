#include "tools/command.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/text.h"

namespace heed::tools {
namespace {

constexpr int kWidth = 96;
constexpr int kColumn = 26;  // where descriptions start

std::string entry(const std::string& left, const std::string& right) {
  std::string line = "  " + left;
  if (right.empty()) return line + '\n';
  if (display_width(line) + 2 > kColumn) {
    line += '\n' + std::string(kColumn, ' ');
  } else {
    line += std::string(static_cast<size_t>(kColumn - display_width(line)), ' ');
  }
  return line + wrapped(right, kWidth - kColumn, kColumn) + '\n';
}

std::string with_default(const CLI::Option* option) {
  std::string doc = option->get_description();
  if (!option->get_default_str().empty()) {
    doc += fmt::format(" [default: {}]", option->get_default_str());
  }
  return doc;
}

std::string usage_of(const CLI::App* app, const std::string& name) {
  std::string usage = "usage: " + name;
  if (!app->get_subcommands({}).empty()) return usage + " COMMAND ...\n";
  bool has_options = false;
  for (const CLI::Option* option : app->get_options()) {
    if (!option->get_positional()) {
      has_options = true;
      continue;
    }
    const std::string shown =
        option->get_type_name() + (option->get_expected_max() > 1 ? " ..." : "");
    usage += option->get_required() ? " " + shown : " [" + shown + "]";
  }
  return usage + (has_options ? " [options]\n" : "\n");
}

// The placeholder, without what a check() adds to it ("N:INT in [1 - 9]").
std::string placeholder(const CLI::Option* option) {
  const std::string name = option->get_type_name();
  return name.substr(0, name.find(':'));
}

// "--out DIR", "-h, --help"
std::string names_of(const CLI::Option* option) {
  std::string names;
  for (const std::string& name : option->get_snames()) names += "-" + name + ", ";
  for (const std::string& name : option->get_lnames()) names += "--" + name + ", ";
  if (names.size() > 2) names.resize(names.size() - 2);
  if (option->get_type_size() != 0 && option->get_expected_max() != 0) {
    names += " " + placeholder(option);
  }
  return names;
}

}  // namespace

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& summary,
                      const std::string& group) {
  CLI::App* command = parent.add_subcommand(name, summary);
  command->group(group);
  command->set_help_flag("-h,--help", "print this and leave");
  command->formatter(std::make_shared<HelpFormatter>());
  return command;
}

namespace {

// CLI11 keeps one text after the options; ours has two parts, the first of which goes before them.
constexpr char kSeparator = '\x1f';

std::pair<std::string, std::string> parts_of(const CLI::App* command) {
  const std::string footer = command->get_footer();
  const size_t at = footer.find(kSeparator);
  if (at == std::string::npos) return {"", footer};
  return {footer.substr(0, at), footer.substr(at + 1)};
}

}  // namespace

void details(CLI::App* command, const std::string& text) {
  command->footer(text + kSeparator + parts_of(command).second);
}

void examples(CLI::App* command, const std::vector<std::pair<std::string, std::string>>& lines) {
  size_t width = 0;
  for (const auto& [line, remark] : lines) {
    if (!remark.empty()) width = std::max(width, line.size());
  }
  std::string text = "examples:\n";
  for (const auto& [line, remark] : lines) {
    text += remark.empty() ? fmt::format("  {}\n", line)
                           : fmt::format("  {:{}}  # {}\n", line, width, remark);
  }
  command->footer(parts_of(command).first + kSeparator + text);
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode) const {
  if (name.empty()) name = app->get_name();
  std::string summary = app->get_description();
  const auto [about, ending] = parts_of(app);
  std::string help = fmt::format("{}: {}\n\n{}", name, summary, usage_of(app, name));
  if (!about.empty()) {
    help += '\n';
    size_t begin = 0;
    while (begin < about.size()) {
      const size_t end = std::min(about.find('\n', begin), about.size());
      help += wrapped(about.substr(begin, end - begin), kWidth, 0) + '\n';
      begin = end + 1;
    }
  }

  std::vector<std::string> groups;
  for (const CLI::App* sub : app->get_subcommands({})) {
    if (std::find(groups.begin(), groups.end(), sub->get_group()) == groups.end()) {
      groups.push_back(sub->get_group());
    }
  }
  for (const std::string& group : groups) {
    help += fmt::format("\n{}:\n", group);
    for (const CLI::App* sub : app->get_subcommands({})) {
      if (sub->get_group() == group) help += entry(sub->get_name(), sub->get_description());
    }
  }

  std::string arguments, options, last;
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_positional()) {
      arguments += entry(option->get_type_name(), with_default(option));
    } else if (option->check_name("--help")) {
      last = entry(names_of(option), with_default(option));
    } else {
      options += entry(names_of(option), with_default(option));
    }
  }
  if (!arguments.empty()) help += "\narguments:\n" + arguments;
  help += "\noptions:\n" + options + last;
  if (!ending.empty()) help += '\n' + ending;
  return help;
}

void print_json(const Config& document) { fmt::print("{}\n", document.to_json(2)); }

}  // namespace heed::tools
