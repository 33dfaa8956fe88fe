// The heed command: parses the command line, runs one subcommand, turns exceptions into messages
// and exit statuses. 0: done; 1: the work failed; 2: the request was wrong.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>

#include "core/error.h"
#include "core/parallel.h"
#include "distributed/world.h"
#include "tools/command.h"
#include "tools/revision.h"

namespace heed::tools {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongRequest = 2;

// All ranks have the same command line, and errors that they agreed on: rank 0 tells.
int report_error(const std::string& message, int status) {
  std::fflush(stdout);
  if (launch().rank == 0) fmt::print(stderr, "error: {}\n", message);
  return status;
}

// What went wrong on this rank alone ends the others too.
int report_exception(const std::exception& error) {
  const bool request = dynamic_cast<const RequestError*>(&error) != nullptr;
  const bool agreed = dynamic_cast<const AgreedError*>(&error) != nullptr ||
                      dynamic_cast<const AgreedRequestError*>(&error) != nullptr;
  const bool out_of_memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  const std::string message = out_of_memory ? "out of memory" : error.what();
  const int status = request ? kWrongRequest : kFailed;
  if (launch().size > 1 && !agreed) abort_world(message, status);
  return report_error(message, status);
}

// Ranks that are not bound to cores of their own share the machine's, unless the user said how.
void share_cores() {
  const int cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (launch().local_size == 1 || std::getenv("OMP_NUM_THREADS") != nullptr) return;
  if (thread_count() == cores) set_thread_count(cores / launch().local_size);
}

std::string version() {
  return fmt::format("heed {} ({}; {}, {})", HEED_VERSION, revision(), HEED_BUILD_TYPE,
                     HEED_COMPILER);
}

// The subcommand that the arguments lead to, as far as they do, and its full name.
std::pair<const CLI::App*, std::string> deepest(const CLI::App& heed) {
  const CLI::App* app = &heed;
  std::string name = heed.get_name();
  for (auto chosen = app->get_subcommands(); !chosen.empty(); chosen = app->get_subcommands()) {
    app = chosen.front();
    name += " " + app->get_name();
  }
  return {app, name};
}

std::vector<std::string> subcommand_names(const CLI::App* app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app->get_subcommands({})) names.push_back(sub->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App* app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app->get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// What is wrong with a command line, in our words.
std::string explain(const CLI::App& heed, const CLI::ParseError& error) {
  const auto [app, name] = deepest(heed);
  for (const std::string& extra : heed.remaining(true)) {
    if (extra.size() > 1 && extra[0] == '-') {
      const std::string flag = extra.substr(0, extra.find('='));
      return fmt::format("{}: unknown option '{}'{}", name, flag,
                         did_you_mean(flag, option_names(app)));
    }
    if (const auto names = subcommand_names(app); !names.empty()) {
      return fmt::format("{}: unknown command '{}'{}", name, extra, did_you_mean(extra, names));
    }
    return fmt::format("{}: unexpected argument '{}'", name, extra);
  }
  for (const CLI::Option* option : app->get_options()) {
    if (option->get_positional() && option->get_required() && option->count() == 0) {
      return fmt::format("{}: {} is missing", name, option->get_type_name());
    }
  }
  if (error.get_name() == "ConversionError" || error.get_name() == "ArgumentMismatch") {
    for (const CLI::Option* option : app->get_options()) {
      const std::string flag = option->get_single_name();
      const std::string what = error.what();
      const size_t equals = what.rfind(" = ");
      if (what.find("--" + flag) == std::string::npos) continue;
      if (equals == std::string::npos) return fmt::format("{}: --{} needs a value", name, flag);
      return fmt::format("{}: --{} takes a number, not '{}'", name, flag, what.substr(equals + 3));
    }
  }
  if (!subcommand_names(app).empty()) return fmt::format("{}: a command is missing", name);
  return fmt::format("{}: {}", name, error.what());
}

/// Whether the command shares its work among the ranks that were started.
bool runs_on_many(int argc, char** argv) {
  const std::string command = argv[1];
  const std::string what = argc > 2 ? argv[2] : "";
  if (command == "bench") return what == "collectives" || what == "step";
  return command[0] == '-' || command == "train" || command == "eval";
}

int run(int argc, char** argv) {
  CLI::App heed("trains, measures and exports attention models", "heed");
  heed.formatter(std::make_shared<HelpFormatter>());
  heed.set_help_flag("-h,--help", "print this and leave");
  heed.set_version_flag("--version", version(), "print the version and leave");
  heed.require_subcommand(1);
  add_train(heed);
  add_tokenize(heed);
  add_eval(heed);
  add_generate(heed);
  add_embed(heed);
  add_export(heed);
  add_average(heed);
  add_import(heed);
  add_report(heed);
  add_reproduce(heed);
  add_compare(heed);
  add_describe(heed);
  add_plan(heed);
  add_list(heed);
  add_probe(heed);
  add_bench(heed);
  add_schema(heed);
  add_doctor(heed);
  examples(&heed, {{"heed train recipes/base/quickstart.yaml", "a small language model in minutes"},
                   {"heed generate runs/quickstart --prompt 'template <'", ""},
                   {"heed train --help", "what a command takes"}});
  if (argc == 1) {
    fmt::print(stderr, "{}", heed.help());
    return kWrongRequest;
  }
  if (launch().size > 1 && !runs_on_many(argc, argv)) {
    return report_error(fmt::format("{} {} runs on one rank, and {} were started; train, eval, "
                                    "bench step and bench collectives run on many",
                                    heed.get_name(), argv[1], launch().size),
                        kWrongRequest);
  }
  try {
    heed.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", heed.help());
  } catch (const CLI::CallForVersion&) {
    fmt::print("{}\n", version());
  } catch (const CLI::ParseError& error) {
    const int status = report_error(explain(heed, error), kWrongRequest);
    fmt::print(stderr, "see {} --help\n", deepest(heed).second);
    return status;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return report_error("cannot write to standard output", kFailed);
  }
  return 0;
}

}  // namespace
}  // namespace heed::tools

int main(int argc, char** argv) {
  try {
    heed::tools::share_cores();
    return heed::tools::run(argc, argv);
  } catch (const std::exception& error) {
    return heed::tools::report_exception(error);
  }
}
