#include "data/text_stream_dataset.h"

#include "core/files.h"
#include "core/readable.h"
#include "data/byte_tokenizer.h"

namespace heed::data {
namespace {

// The first documents of a corpus, as far as `most` bytes of text go.
Split read_split(const CorpusOptions& corpus, const Tokenizer& tokenizer, int64_t most,
                 const SourceLocation& where) {
  Split split{Tokens(tokenizer.vocab_size())};
  CorpusReader reader(corpus, where);
  CorpusDocument document;
  const std::optional<TokenId> end = tokenizer.end_of_text();
  while (split.bytes < most && reader.next(document)) {
    std::vector<TokenId> ids;
    if (!document.continues) {
      if (end && split.tokens.size() > 0) ids.push_back(*end);
      split.tokens.append(ids);
      split.tokens.begin_document();
      ++split.documents;
    }
    ids.clear();
    try {
      tokenizer.encode(document.text, ids);
    } catch (const RequestError& error) {
      fail_request(document.where, error.what());
    }
    split.tokens.append(ids);
    split.bytes += static_cast<int64_t>(document.text.size());
  }
  return split;
}

}  // namespace

void TextStreamOptions::StreamTokenizer::options(Options& o) {
  o.field("type", type,
          "how text becomes tokens, without a file: a stream has nothing to learn from",
          {.one_of = {"bytes"}});
  o.field(
      "file", file,
      "a tokenizer.json (or its folder, or GPT-2's with vocab.json and merges.txt); the type is "
      "then the file's");
}

void TextStreamOptions::options(Options& o) {
  o.field("files", files,
          ".jsonl, text (also .gz) or .tar files, folders or glob patterns; ${NAME} is an "
          "environment variable",
          {.required = true});
  o.field("validation_files", validation_files, "files to hold out; they are read into memory");
  corpus.options(o);
  o.field("shuffle", shuffle,
          "windows that follow each other and come in a drawn order; 1 keeps the files' order",
          {.min = 1, .max = 1 << 20});
  o.field("max_validation_bytes", max_validation_bytes,
          "of the validation files, no more than this many bytes of text (to a document's end)",
          {.min = 1});
  o.field("tokenizer", tokenizer, "how text becomes tokens");
}

std::unique_ptr<TextDataset> open_text_stream(const TextStreamOptions& options,
                                              const SourceLocation& where) {
  auto dataset = std::make_unique<TextDataset>();
  if (options.tokenizer.file.empty()) {
    dataset->tokenizer = std::make_unique<ByteTokenizer>();
  } else {
    dataset->tokenizer = load_tokenizer(expand_path(options.tokenizer.file, where));
  }
  dataset->train.tokens = dataset->validation.tokens = Tokens(dataset->vocab_size());
  TokenStreamOptions stream{options.corpus, options.shuffle};
  stream.corpus.files = options.files;
  const CorpusReader reader(stream.corpus, where);
  if (!options.validation_files.empty()) {
    CorpusOptions held = options.corpus;
    held.files = options.validation_files;
    dataset->validation =
        read_split(held, *dataset->tokenizer, options.max_validation_bytes, where);
  }
  dataset->summary = fmt::format(
      "a stream of {} {} ({} on the disk) for training and {} tokens held out; tokenizer {} of {}",
      reader.files().size(), reader.files().size() == 1 ? "file" : "files",
      format_bytes(reader.bytes()), grouped(dataset->validation.tokens.size()),
      dataset->tokenizer->type(), grouped(dataset->vocab_size()));
  dataset->summary += not_text(reader.skipped());
  dataset->stream = std::move(stream);
  return dataset;
}

}  // namespace heed::data
