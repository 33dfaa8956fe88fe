// Template: a chat template that has been read, and its interpreter. The language is a subset of
// Jinja, in the configuration of transformers (a sandbox in which values never change,
// trim_blocks, lstrip_blocks, loop controls): for, if, set, macro, break, continue, generation,
// raw, comments; Python's expressions and methods on strings, lists and dicts; the filters and
// tests of builtins.h; namespace(), range(), dict(), raise_exception(), strftime_now(). Whatever is
// beyond it is an error with line and column. A template cannot run for ever, nor fill the memory.
#pragma once

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "data/chat/syntax.h"

namespace heed::data::chat {

struct RenderLimits {
  int64_t steps = 5'000'000;        ///< expressions and statements, and some for large values
  size_t output = size_t{1} << 23;  ///< bytes
};

class Template {
 public:
  /// Reads the text; `name` stands for the file in errors.
  Template(const std::string& source, std::string name);

  using Variables = std::vector<std::pair<std::string, Value>>;
  /// Runs it; RequestError, with the place, for what it does wrong or refuses (raise_exception).
  /// `now` is the local time of strftime_now.
  std::string render(const Variables& variables, const std::tm& now,
                     const RenderLimits& limits = {}) const;

 private:
  std::string name_;
  std::vector<Node> nodes_;
};

}  // namespace heed::data::chat
