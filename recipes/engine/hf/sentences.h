// What the folder of a sentence encoder says beside its config.json (sentence-transformers:
// Reimers and Gurevych, arXiv 1908.10084): the modules that make one vector of a text.
//
//   modules.json                        Transformer, Pooling and perhaps Normalize, in this order
//   1_Pooling/config.json               {"pooling_mode": "mean"}, before version 6 a switch a mode
//   sentence_bert_config.json           {"max_seq_length": 256, "do_lower_case": false}
//   config_sentence_transformers.json   {"prompts": {"query": "query: "}, "default_prompt_name":
//   ..}
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"

namespace heed::recipes::hf {

/// How the states of a text become one vector.
struct SentencePooling {
  std::string pool;        ///< of heed's encoder: "cls", "mean" or "max"
  bool normalise = false;  ///< to length 1
};

/// What a model folder says, or nothing where it has no pooling. A RequestError names, with its
/// place, another mode or module (Dense), which would make other vectors.
std::optional<SentencePooling> read_sentence_pooling(const std::string& folder);

/// How texts are prepared.
struct SentenceTexts {
  int64_t max_tokens = 0;  ///< special ones included; 0: as many as the model takes
  bool lower_case = false;
  std::vector<std::pair<std::string, std::string>> prompts;  ///< (name, what stands before a text)
  std::string default_prompt;                                ///< a name, or ""
};

/// What a checkpoint's kept files say.
SentenceTexts read_sentence_texts(const std::string& checkpoint);

/// The files (path in the folder, text) that an exported encoder of this whole `model` section has
/// beside its config.json: those of `checkpoint` that still say the same are left out. None for a
/// model with a head or a pooler, and for one that was never a sentence encoder: whose pooling is
/// the default and that came without these files.
std::vector<std::pair<std::string, std::string>> sentence_files(const Config& model,
                                                                const std::string& checkpoint);

}  // namespace heed::recipes::hf
