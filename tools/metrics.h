// Metrics as text and as JSON, and warnings: the same in every command.
#pragma once

#include <string>

#include "core/config.h"
#include "recipes/engine/task.h"

namespace heed::tools {

/// "loss 1.71  bits_per_byte 2.47"
std::string metrics_text(const recipes::Metrics& metrics);
/// A row for the model and one for each baseline ("unigram.loss" is the loss of unigram); indented.
std::string comparison_table(const recipes::Metrics& metrics, const recipes::Metrics& baselines);
Config metrics_config(const recipes::Metrics& metrics);

/// "warning: ..." on stderr.
void print_warning(const std::string& message);

}  // namespace heed::tools
