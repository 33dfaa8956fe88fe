// sentencepiece.bpe.model: XLM-R's vocabulary (Conneau et al., arXiv 1911.02116), a SentencePiece
// model whose ids fairseq's own four special tokens shift:
//
//   in the model   <unk> <s> </s> piece_3 piece_4 ...
//   in XLM-R       <s> <pad> </s> <unk> piece_3 piece_4 ... <mask>
#pragma once

#include <string>

#include "core/config.h"

namespace heed::data {

inline constexpr const char* kXlmRobertaModel = "sentencepiece.bpe.model";

/// The tokenizer.json that transformers makes of such a file: Unigram over words, between <s> and
/// </s>. RequestError: a model of another algorithm, or whose first pieces are others; pieces that
/// are user-defined or stand for bytes, which its ids have no place for; and where a
/// tokenizer_config.json beside it names a class with other ids (mBART, CamemBERT).
Config read_xlm_roberta(const std::string& path);

}  // namespace heed::data
