// heed generate --chat: a conversation with a trained language model.
#pragma once

#include <string>
#include <vector>

#include "recipes/engine/evaluate.h"

namespace heed::tools {

struct ChatArguments {
  bool chat = false;                ///< asked for, even if nothing below is given
  std::string messages;             ///< a JSON file, "-" for standard input
  std::vector<std::string> system;  ///< at most one
  std::vector<std::string> user;
  std::string template_file;

  bool wanted() const { return chat || !messages.empty() || !system.empty() || !user.empty(); }
};

/// Answers the conversation that the arguments tell, or, where they end with no user's turn,
/// standard input's: line by line on a terminal, else as one turn.
void hold_chat(const recipes::LoadedRun& run, const ChatArguments& arguments,
               const recipes::GenerateOptions& options, bool json);

}  // namespace heed::tools
