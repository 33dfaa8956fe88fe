// PreTokenizer: the split of a normalised text into the pieces that a model encodes by itself, as
// tokenizer.json's "pre_tokenizer" says:
//
//   BertPreTokenizer    at white space, which goes, and around every punctuation mark
//   Whitespace          runs of word characters and runs of others; white space goes
//   WhitespaceSplit     at white space
//   Punctuation Digits  around each mark, or number
//   Split               at a string
//   Metaspace           U+2581 for spaces, one in front; at each of them, unless `split` is false
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"

namespace heed::data {

struct TextPiece {
  std::string text;
  bool first = true;  ///< the whole text begins with it
};

class PreTokenizer {
 public:
  PreTokenizer() = default;
  /// Reads a "pre_tokenizer"; RequestError names a type that is not known.
  explicit PreTokenizer(const Config& pre_tokenizer);

  /// The pieces, none empty, of a text that is not empty.
  std::vector<TextPiece> operator()(TextPiece text) const;

 private:
  using Step = std::function<void(TextPiece, std::vector<TextPiece>&)>;

  void add(const Config& part);

  std::vector<Step> steps_;
};

}  // namespace heed::data
