// heed average: the mean of a run's last checkpoints.
#include "recipes/engine/average.h"

#include <fmt/format.h>

#include <memory>

#include "core/readable.h"
#include "tools/command.h"
#include "tools/metrics.h"

namespace heed::tools {
namespace {

struct AverageArguments {
  std::string run;
  std::string destination;
  int64_t last = 5;
};

void average(const AverageArguments& arguments) {
  const recipes::AveragedCheckpoint averaged = recipes::average_checkpoints(
      arguments.run, arguments.destination, arguments.last, print_warning);
  fmt::print("{}\n", averaged.path);
  fmt::print("is the mean of {} checkpoints, of steps {} to {}\n", averaged.sources.size(),
             grouped(averaged.sources.front().step), grouped(averaged.sources.back().step));
}

}  // namespace

void add_average(CLI::App& heed) {
  auto arguments = std::make_shared<AverageArguments>();
  CLI::App* command = add_command(
      heed, "average", "makes one model of a run's last checkpoints, their mean", "train and use");
  details(command,
          "Weights and buffers are summed in f64. What comes out is a run's folder that heed eval, "
          "generate and export take, and train.from; it holds no optimiser's state to go on from. "
          "How many checkpoints a run keeps is its recipe's train.keep_checkpoints.");
  positional(command, "RUN", arguments->run, "a run's folder")->required();
  positional(command, "DESTINATION", arguments->destination, "a new folder")->required();
  option(command, "--last", "N", arguments->last, "how many checkpoints, the last ones")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20));
  examples(command, {{"heed train recipe.yaml train.keep_checkpoints=5", ""},
                     {"heed average runs/recipe runs/recipe-mean --last 5", ""},
                     {"heed eval runs/recipe-mean", ""}});
  command->callback([arguments] { average(*arguments); });
}

}  // namespace heed::tools
