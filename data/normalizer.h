// Normalizer: what tokenizer.json has done to a text before it is split: the members of its
// "normalizer", in order. Each is as Hugging Face `tokenizers` has it:
//
//   BertNormalizer      controls away, spaces around CJK, accents away, lower case
//   NFC NFD NFKC NFKD   Unicode's normal forms
//   Lowercase StripAccents Strip Prepend
//   Replace             of a string, or of one of a few expressions (kReplacePatterns)
//   Precompiled         SentencePiece's charsmap
//   Nmt                 controls away, other white space to spaces
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"

namespace heed::data {

class Normalizer {
 public:
  Normalizer() = default;
  /// Reads a "normalizer"; RequestError names a type, or an expression, that is not known.
  explicit Normalizer(const Config& normalizer);

  bool empty() const { return steps_.empty(); }
  /// The text, valid UTF-8, as it is afterwards.
  std::string operator()(std::string_view text) const;

 private:
  using Step = std::function<std::string(std::string)>;

  void add(const Config& part);

  std::vector<Step> steps_;
};

}  // namespace heed::data
