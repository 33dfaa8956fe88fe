// A text dataset that is tokens already: files of nothing but little-endian integers, as nanoGPT's
// prepare.py and many others write them (train.bin, val.bin).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/text_dataset.h"

namespace heed::data {

struct TokenFilesOptions {
  std::vector<std::string> files, validation_files;
  std::string integer = "u16";
  double validation = 0.1;
  struct TokenizerFile {
    std::string file;
    void options(Options& o);
  } tokenizer;

  void options(Options& o);
};

/// The files' tokens one after the other. Without validation files the last options.validation of
/// them are held out. RequestErrors name the byte of an id outside the tokenizer's vocabulary, and
/// files whose size is no multiple of an integer's.
std::unique_ptr<TextDataset> open_token_files(const TokenFilesOptions& options,
                                              const SourceLocation& where = {});

}  // namespace heed::data
