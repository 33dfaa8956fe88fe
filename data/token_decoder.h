// TokenDecoder: from tokens as they are written back to text, as tokenizer.json's "decoder" says:
//
//   WordPiece     a space in front of a token, unless it is a continuation ("##ing")
//   Metaspace     spaces for U+2581, none in front of the text
//   ByteFallback  "<0x0A>" is that byte
//   Replace Strip Fuse
//
// Without one a space stands between tokens.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/config.h"

namespace heed::data {

class TokenDecoder {
 public:
  /// Reads a "decoder", or null; RequestError names a type that is not known.
  explicit TokenDecoder(const Config* decoder);

  /// The bytes of a token; the `first` of a text may have others.
  std::string piece(const std::string& token, bool first) const;
  /// The text of all the pieces.
  std::string whole(std::string pieces) const;

 private:
  using Step = std::function<std::string(std::string, bool first)>;

  void add(const Config& part);

  std::vector<Step> steps_;  ///< of single tokens
  std::vector<Step> fused_;  ///< behind a Fuse: of the text as a whole
  bool fuses_ = false;
};

}  // namespace heed::data
