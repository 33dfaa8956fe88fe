// A tokenizer made from the texts that are examples.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/options.h"
#include "data/tokenizer.h"

namespace heed::data {

struct ExampleTokenizerOptions {
  std::string type = "words";
  int64_t vocab_size = 30000;
  int64_t min_count = 2;
  std::string file;
  void options(Options& o);
};

/// The vocabulary is that of the `train` texts; for chars also that of the `others`, since a
/// character that it lacks could not be encoded.
std::unique_ptr<Tokenizer> make_example_tokenizer(const ExampleTokenizerOptions& options,
                                                  std::vector<std::string_view> train,
                                                  const std::vector<std::string_view>& others,
                                                  const SourceLocation& where = {});

}  // namespace heed::data
