#include "tools/decode_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "core/allocator.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/readable.h"
#include "nn/models/language_model.h"
#include "recipes/engine/statistics.h"
#include "recipes/engine/task.h"
#include "tools/device_timing.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

struct DecodeBench {
  std::string recipe;
  std::vector<std::string> overrides;
  int64_t batch = 1, prompt = 0, tokens = 64;
  double seconds = 1.0;
  bool json = false;
};

struct DecodeTiming {
  double prompt = 0.0;        ///< seconds that reading the prompt took
  std::vector<double> steps;  ///< of each token after it, the fastest of the rounds
  int64_t state_bytes = 0;    ///< of the cache in the end (nn::DecodeState::bytes)
  int64_t peak_bytes = 0;
};

/// [batch, count] ids, spread over the vocabulary.
Tensor some_ids(int64_t batch, int64_t count, int64_t vocab, int64_t first) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < batch * count; ++i) ids.push_back((first + 7919 * i) % vocab);
  return Tensor::from(ids, {batch, count});
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// One text: the prompt at once, then token by token.
void write_once(nn::LanguageModel& model, const DecodeBench& b, DecodeTiming& best) {
  const std::unique_ptr<nn::DecodeState> state = model.start();
  const Tensor prompt = some_ids(b.batch, b.prompt, model.vocab(), 0);
  const double read = seconds_of([&] { model.decode(prompt, *state); });
  best.prompt = best.prompt == 0.0 ? read : std::min(best.prompt, read);
  best.steps.resize(static_cast<size_t>(b.tokens), std::numeric_limits<double>::infinity());
  for (int64_t t = 0; t < b.tokens; ++t) {
    const Tensor next = some_ids(b.batch, 1, model.vocab(), t);
    const double step = seconds_of([&] { model.decode(next, *state); });
    double& least = best.steps[static_cast<size_t>(t)];
    least = std::min(least, step);
  }
  best.state_bytes = state->bytes();
}

void bench_decode(DecodeBench b) {
  const recipes::Recipe recipe = recipes::load_recipe(b.recipe, b.overrides);
  if (recipe.device != "cpu")
    fail_request("bench decode: measures on the cpu, and the recipe's device is {}", recipe.device);
  const auto task = recipes::make_task(recipe, recipes::TaskUse::train);
  auto* model = dynamic_cast<nn::LanguageModel*>(&task->module());
  if (model == nullptr)
    fail_request("bench decode: {} trains no language model (task {})", b.recipe, task->name());
  model->initialise(static_cast<uint64_t>(recipe.seed));
  model->eval();
  if (b.prompt == 0) b.prompt = std::max<int64_t>(1, model->context() - b.tokens);
  const int64_t whole = b.prompt + b.tokens;
  if (whole > model->context() && !model->extrapolates()) {
    fail_request(
        "bench decode: {} tokens of prompt and {} after it are more than the context of {}",
        b.prompt, b.tokens, model->context());
  }

  DecodeTiming timing;
  allocator::reset_peak(kCpu);
  const NoGrad none;
  const auto start = std::chrono::steady_clock::now();
  do {
    write_once(*model, b, timing);
  } while (std::chrono::steady_clock::now() - start < std::chrono::duration<double>(b.seconds));
  timing.peak_bytes = allocator::stats(kCpu).peak_bytes;

  double total = 0.0;
  for (const double step : timing.steps) total += step;
  const double per_second = static_cast<double>(b.batch * b.tokens) / total;
  const double prompt_per_second = static_cast<double>(b.batch * b.prompt) / timing.prompt;
  const double median_ms = 1e3 * recipes::quantile(timing.steps, 0.5);
  if (b.json) {
    Config document = Config::map();
    document.set("recipe", recipe.name);
    document.set("threads", thread_count());
    document.set("parameters", model->parameter_count());
    document.set("batch", b.batch);
    document.set("prompt_tokens", b.prompt);
    document.set("tokens", b.tokens);
    document.set("tokens_per_second", per_second);
    document.set("token_ms", median_ms);
    document.set("prompt_tokens_per_second", prompt_per_second);
    document.set("prompt_ms", 1e3 * timing.prompt);
    document.set("state_bytes", timing.state_bytes);
    document.set("peak_tensor_bytes", timing.peak_bytes);
    return print_json(document);
  }
  fmt::print("{}: {} parameters, {} texts at once, {} tokens of prompt and {} after it, {}\n",
             recipe.name, grouped(model->parameter_count()), b.batch, b.prompt, b.tokens,
             place_text(kCpu));
  Table table;
  table.row({"writing", fmt::format("{} tokens/s ({:.3f} ms a token, median)", compact(per_second),
                                    median_ms)});
  table.row({"reading", fmt::format("{} tokens/s ({:.3f} ms the prompt)",
                                    compact(prompt_per_second), 1e3 * timing.prompt)});
  table.row({"state", format_bytes(timing.state_bytes)});
  table.row({"peak memory", format_bytes(timing.peak_bytes) + " of tensors"});
  fmt::print("{}", table.to_string());
}

}  // namespace

void add_bench_decode(CLI::App& bench) {
  auto arguments = std::make_shared<DecodeBench>();
  DecodeBench& b = *arguments;
  CLI::App* command =
      add_command(bench, "decode", "measures how fast a recipe's language model writes");
  details(command,
          "Builds the recipe's model with random weights, lets it read a prompt at once and write "
          "token by token with its cache, as `heed generate` does. Of several rounds each "
          "token's fastest counts. The ids are fixed: nothing is sampled. The state is what the "
          "cache holds of all tokens in the end, without room for more.");
  positional(command, "RECIPE", b.recipe, "a recipe file (docs/recipes.md)")->required();
  positional(command, "key=value", b.overrides,
             "replaces fields of the recipe: model.context=2048");
  const auto count = [&](const char* name, int64_t& value, int64_t least, const char* doc) {
    option(command, name, "N", value, doc)->check(CLI::Range(least, int64_t{1} << 24));
  };
  count("--batch", b.batch, 1, "texts at once");
  count("--prompt", b.prompt, 0,
        "tokens of the prompt; 0: what the context leaves beside --tokens");
  count("--tokens", b.tokens, 1, "tokens to write");
  option(command, "--seconds", "S", b.seconds, "to repeat it for")->check(CLI::Range(0.0, 3600.0));
  command->add_flag("--json", b.json, "print one JSON document");
  examples(command, {{"heed bench decode recipes/base/shakespeare-small.yaml", ""},
                     {"heed bench decode recipes/base/shakespeare-small.yaml "
                      "model.attention.type=window --tokens 128",
                      ""}});
  command->callback([arguments] { bench_decode(*arguments); });
}

}  // namespace heed::tools
