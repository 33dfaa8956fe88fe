// Sampling from a trained model.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/options.h"
#include "recipes/engine/recipe.h"

namespace heed::recipes {

struct GenerateOptions {
  int64_t max_tokens = 200;
  double temperature = 0.8;
  int64_t top_k = 0;
  double top_p = 1.0;
  bool greedy = false;
  int64_t seed = 1337;
  std::vector<std::string> stop;
  void options(Options& o);
};

/// Called with each new piece of text: whole UTF-8 characters.
using TokenCallback = std::function<void(const std::string& piece)>;

struct Generated {
  std::string text;  ///< what was written, without the prompt and the stop string
  int64_t prompt_tokens = 0;
  int64_t tokens = 0;
  std::vector<int64_t> ids;     ///< those tokens, the one that ended the text included
  double prompt_seconds = 0.0;  ///< reading the prompt; 0 where that is timed with the writing
  double seconds = 0.0;         ///< writing the text
  std::string stopped_by;       ///< "max_tokens", "stop", "end", or "context": no room for more
  std::string warning;          ///< what the model could not take of the prompt, or ""
};

/// Continues, or answers, the prompt with the model of a checkpoint or run folder (its latest good
/// checkpoint). `overrides` are of the recipe ("evaluation.use_ema=false"). `warn` hears of damaged
/// checkpoints and of prompts that are too long.
Generated generate(const std::string& run_or_checkpoint, const std::string& prompt,
                   const GenerateOptions& options, const TokenCallback& on_token = {},
                   const std::vector<std::string>& overrides = {},
                   const std::function<void(const std::string&)>& warn = {});

/// Writes samples of a task whose samples are files: `count` of them (0: as many as the recipe
/// says) drawn by `seed` (the recipe's when not given), named after `path` (FOLDER/NAME.png).
/// Returns the files; a RequestError for other tasks, and for a path without the files' ending.
std::vector<std::string> generate_files(const std::string& run_or_checkpoint,
                                        const std::string& path, int64_t count,
                                        std::optional<int64_t> seed,
                                        const std::vector<std::string>& overrides = {},
                                        const std::function<void(const std::string&)>& warn = {});

/// The options that a recipe, or the recipe of a checkpoint, suggests under `samples:`.
GenerateOptions options_from(const Recipe& recipe);
GenerateOptions default_generate_options(const std::string& run_or_checkpoint);

}  // namespace heed::recipes
