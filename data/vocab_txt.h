// vocab.txt: BERT's own file of a WordPiece vocabulary, a token a line.
#pragma once

#include <string>

#include "core/config.h"

namespace heed::data {

/// The tokenizer.json of a folder's vocab.txt; what is done to a text (`do_lower_case`,
/// `strip_accents`, `tokenize_chinese_chars`) stands in its tokenizer_config.json, or is as
/// bert-base-uncased has it.
Config read_vocab_txt(const std::string& folder);

}  // namespace heed::data
