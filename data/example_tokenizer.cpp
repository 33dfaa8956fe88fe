#include "data/example_tokenizer.h"

#include "data/bpe.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/text_source.h"
#include "data/word_tokenizer.h"

namespace heed::data {

void ExampleTokenizerOptions::options(Options& o) {
  o.field("type", type, "how text becomes tokens; the vocabulary is made from the training texts",
          {.one_of = {"words", "chars", "bytes", "bpe"}});
  o.field("vocab_size", vocab_size, "tokens at most, of words (the most frequent) or of a BPE",
          {.min = 257, .max = 1 << 20});
  o.field("min_count", min_count, "rarer words become the unknown token", {.min = 1});
  o.field("file", file, "a tokenizer.json to use instead; the type is then the file's");
}

std::unique_ptr<Tokenizer> make_example_tokenizer(const ExampleTokenizerOptions& options,
                                                  std::vector<std::string_view> train,
                                                  const std::vector<std::string_view>& others,
                                                  const SourceLocation& where) {
  if (!options.file.empty()) return load_tokenizer(expand_path(options.file, where));
  if (options.type == "bytes") return std::make_unique<ByteTokenizer>();
  if (options.type == "words") {
    return std::make_unique<WordTokenizer>(
        WordTokenizer::from_texts(train, options.min_count, options.vocab_size));
  }
  if (options.type == "bpe") {
    return std::make_unique<BpeTokenizer>(train_bpe(train, {.vocab_size = options.vocab_size}));
  }
  train.insert(train.end(), others.begin(), others.end());
  return std::make_unique<CharTokenizer>(CharTokenizer::from_texts(train));
}

}  // namespace heed::data
