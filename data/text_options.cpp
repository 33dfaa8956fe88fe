// The options of text datasets: one declaration for reading, defaults, schema and help.
#include "data/text_dataset.h"

namespace heed::data {

void TokenizerOptions::options(Options& o) {
  o.field("type", type, "how text becomes tokens; bpe is trained on the training split",
          {.one_of = {"bytes", "chars", "bpe"}});
  o.field("vocab_size", vocab_size, "tokens of a BPE to train: 256 bytes, merges, end of text",
          {.min = 257, .max = 1 << 20});
  o.field("file", file,
          "a tokenizer.json (or its folder, or GPT-2's with vocab.json and merges.txt) to use "
          "instead of training one; the type is then the file's");
}

void TextOptions::options(Options& o) {
  o.field("tokenizer", tokenizer, "how text becomes tokens");
  o.field("validation", validation, "fraction of the text held out; 0 for none",
          {.min = 0, .below = 1});
  o.field("split", split,
          "what is held out: the text's tail, or whole files drawn by a hash of their paths",
          {.one_of = {"tail", "files"}});
  o.field("max_bytes", max_bytes, "read no more than this many bytes of text; 0 for all",
          {.min = 0});
}

void TextDatasetOptions::options(Options& o) {
  o.field("files", files,
          "text files, folders or glob patterns (*, ?, [a-z], **); ${NAME} is an environment "
          "variable",
          {.required = true});
  o.field("validation_files", validation_files,
          "files to hold out, instead of a fraction of `files`");
  o.field("field", field, "the member of each line's object that is a document, in .jsonl files");
  text.options(o);
}

}  // namespace heed::data
