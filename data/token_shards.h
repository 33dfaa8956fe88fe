// A text dataset of token shards (heed tokenize makes them): one corpus, or several that are mixed
// by weight.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/text_dataset.h"

namespace heed::data {

struct TokenCorpus {
  std::string name;
  std::string folder;
  double weight = 1;
  void options(Options& o);
};

struct TokenShardsOptions {
  std::string folder;
  std::vector<TokenCorpus> corpora;
  std::string validation_folder;
  double validation = 0.01;
  struct TokenizerFile {
    std::string file;
    void options(Options& o);
  } tokenizer;

  void options(Options& o);
};

/// Maps the shards; the tokens stay in the files. Without a validation folder the end of each
/// corpus, from a document's first token on where one begins there, is held out. Shards of another
/// tokenizer than the one named (the first folder's own, where none is) are RequestErrors that name
/// both.
std::unique_ptr<TextDataset> open_token_shards(const TokenShardsOptions& options,
                                               const SourceLocation& where = {});

}  // namespace heed::data
