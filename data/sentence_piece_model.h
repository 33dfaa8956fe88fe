// What a SentencePiece .model says, and tokenizer.json's form of it:
//
//   {"version": "1.0", "type": "sentencepiece", "algorithm": "unigram" or "bpe",
//    "byte_fallback": false, "unknown_surface": " \u2047 ", "start": [1], "finish": [],
//    "normalizer": {"charsmap": base64, "dummy_prefix": true, "remove_extra_spaces": true,
//                   "escape_spaces": true, "space_behind": false},
//    "pieces": [["<unk>", 0.0, "unknown"], ["<s>", 0.0, "control"], ["\u2581the", -3.2], ...]}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/config.h"
#include "data/added_tokens.h"
#include "data/charsmap.h"

namespace heed::data {

struct SentencePieceModel {
  enum class Type : uint8_t { normal, unknown, control, user_defined, unused, byte };
  struct Piece {
    std::string text;
    float score = 0.0f;
    Type type = Type::normal;
  };

  bool bpe = false;  ///< else unigram
  std::vector<Piece> pieces;
  bool byte_fallback = false;
  std::string unknown_surface = " \xE2\x81\x87 ";  ///< what an unknown token is as text

  Charsmap charsmap;
  bool dummy_prefix = true;         ///< a space is put in front of every text
  bool remove_extra_spaces = true;  ///< those at both ends, and all but one of a run
  bool escape_spaces = true;        ///< U+2581 stands for a space
  bool space_behind = false;        ///< the dummy prefix is a suffix

  TokenId bos = -1, eos = -1;          ///< the model's; -1: it has none
  std::vector<TokenId> start, finish;  ///< what a text has around it
};

/// Parses the bytes of a .model, with nothing around texts. RequestError: not one, an algorithm
/// other than unigram and BPE, a piece that is empty, not UTF-8 or there twice, none or several
/// unknown ones, bytes missing for a fallback.
SentencePieceModel parse_sentence_piece(const std::string& bytes, const std::string& name);
/// The same from tokenizer.json's form.
SentencePieceModel read_sentence_piece(const Config& document);
Config write_sentence_piece(const SentencePieceModel& model);

}  // namespace heed::data
