// What the layouts of tokenizer.json share, for reading and writing; see tokenizer_file.cpp.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/config.h"
#include "data/merges.h"
#include "data/tokenizer.h"

namespace heed::data::layout {

using Ids = std::unordered_map<std::string, TokenId>;  // by the written form of a token

TokenId read_id(const Config& value);
Ids read_vocab(const Config& vocab);
/// "a b" or ["a", "b"] each, in order of rank.
std::vector<Merges::Pair> read_merges(const Ids& vocab, const Config& merges);
Merges::Pair parse_merge(const Ids& vocab, const std::string& text, const SourceLocation& where);
/// "added_tokens" with their flags.
std::vector<SpecialToken> read_specials(const Config& document);
/// The tokens as they are written, in the order of their ids, which must leave no hole; special
/// ones may be in the vocabulary or beside it.
std::vector<std::string> tokens_in_order(const Ids& vocab,
                                         const std::vector<SpecialToken>& specials,
                                         const SourceLocation& where);
/// The special tokens that a post-processor puts around a text. Their ids are below `tokens`.
Frame read_frame(const Config& document, size_t tokens);

/// The member when it is there and not null.
const Config* given(const Config& config, const char* key);
/// Refuses a member that is there with another value than the one that changes nothing.
void expect_neutral(const Config& config, const char* key, const Config& neutral);
[[noreturn]] void refuse(const Config& part, const char* key, const std::string& known);
bool is_of_type(const Config& part, const char* type);
/// The parts of a Sequence, or the one there is.
Config::List parts_of(const Config& part, const char* list);

/// "added_tokens".
Config added_tokens(const Tokenizer& tokenizer);
/// "post_processor": the special tokens around every text.
Config framed_by(const Tokenizer& tokenizer);

}  // namespace heed::data::layout
