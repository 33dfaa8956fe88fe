// The tokens of a chat template, a subset of Jinja's: text, and what stands in {{ }} and {% %}.
// White space is as transformers configures it (trim_blocks, lstrip_blocks): a line break behind a
// block goes, and so do spaces in front of a block that begins a line; "-" and "+" beside the
// delimiters say otherwise.
#pragma once

#include <string>
#include <vector>

#include "core/error.h"

namespace heed::data::chat {

struct Token {
  enum class Kind {
    text,
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    number,
    sign,
    end
  };
  Kind kind = Kind::end;
  std::string text;  ///< of a string: its value
  int line = 1, column = 1;

  bool is(Kind wanted, const char* spelled) const { return kind == wanted && text == spelled; }
};

/// RequestError, with the place, for what is no token or has no end.
std::vector<Token> tokenize(const std::string& source, const std::string& name);

}  // namespace heed::data::chat
