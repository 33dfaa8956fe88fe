// Texts with one class each: rows of CSV, TSV or JSON lines, or one file of sentences a class.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/example_tokenizer.h"
#include "data/hold_out.h"
#include "data/labelled_dataset.h"
#include "data/text_table.h"

namespace heed::data {

/// What every dataset of labelled texts takes.
struct LabelledTextOptions {
  ExampleTokenizerOptions tokenizer;
  int64_t max_length = 256;
  std::string encoding = "utf-8";
  HoldOutOptions held_out;
  std::vector<std::string> classes;
  void options(Options& o);
};

/// Rows of a table. `label` and `text` name columns: numbers from 0 where there is no header (CSV,
/// TSV), else names; fields of objects in JSON lines. Several text columns are joined by a space.
struct TextTableOptions {
  std::vector<std::string> train, validation, test;
  TableOptions table;
  std::string label = "0";
  std::vector<std::string> text = {"1"};
  LabelledTextOptions texts;
  void options(Options& o);
};

/// One file a class, one text a line; the order of the files is that of the classes.
struct SentencesOptions {
  std::vector<std::string> files;
  LabelledTextOptions texts;
  void options(Options& o);
};

struct LabelledText {
  std::string text;
  int64_t label = 0;
};

struct LabelledTexts {
  std::vector<LabelledText> train, validation, test;
};

/// Tokenizes texts already read. Where validation or test are empty and their fraction is above 0,
/// they are drawn evenly from the training texts. The vocabulary is the training texts' (for chars:
/// all texts'); longer texts lose their end; an empty text becomes one token of padding.
std::unique_ptr<LabelledDataset> make_labelled_texts(LabelledTexts texts,
                                                     std::vector<std::string> class_names,
                                                     const LabelledTextOptions& options,
                                                     const SourceLocation& where = {});

/// The classes are the different labels of the training rows: in ascending order, as numbers where
/// all are numbers. `classes`, where given, renames them in that order.
std::unique_ptr<LabelledDataset> open_text_table(const TextTableOptions& options,
                                                 const SourceLocation& where = {});
std::unique_ptr<LabelledDataset> open_sentences(const SentencesOptions& options,
                                                const SourceLocation& where = {});

}  // namespace heed::data
