// A text dataset that is read while it is trained on (data/token_stream.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/text_dataset.h"

namespace heed::data {

struct TextStreamOptions {
  std::vector<std::string> files;
  std::vector<std::string> validation_files;
  CorpusOptions corpus;
  int64_t shuffle = 1024;
  int64_t max_validation_bytes = int64_t{16} << 20;
  struct StreamTokenizer {
    std::string type = "bytes";
    std::string file;
    void options(Options& o);
  } tokenizer;

  void options(Options& o);
};

/// The stream, and the validation files' tokens in memory.
std::unique_ptr<TextDataset> open_text_stream(const TextStreamOptions& options,
                                              const SourceLocation& where = {});

}  // namespace heed::data
