// The documents of a corpus, one after the other, in memory that does not grow with it.
//
// Files by their names:
//   .jsonl, .ndjson   a JSON object a line, whose member `field` is a document
//   .tar              a WebDataset: every member that ends in .txt is a document
//   anything else     text: the file is a document, or its paragraphs or lines are
// and all but .tar with .gz behind, unpacked as they are read.
//
// What holds NUL bytes is no text. A text file that has one among its first 64 KiB is none of the
// corpus's; one that has it later ends there, in front of the document (or piece) that holds it; so
// does a tar's member leave its archive.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "data/line_reader.h"

namespace heed::data {

struct CorpusOptions {
  std::vector<std::string> files;
  std::string field = "text";
  std::string documents = "file";

  /// Without `files`, whose document differs from user to user.
  void options(Options& o);
};

/// Where a reader stands between two documents: all that it needs to go on there.
struct CorpusPlace {
  int64_t file = 0;    ///< of the files in their order
  int64_t offset = 0;  ///< in its text, or members of a tar passed
  int64_t line = 1;
  bool within = false;  ///< a document, whose next piece is the next one
  bool operator==(const CorpusPlace&) const = default;
};

struct CorpusDocument {
  std::string text;  ///< not empty
  SourceLocation where = {};
  bool continues = false;  ///< goes on with the document before
};

class CorpusReader {
 public:
  /// A text longer than this is read in pieces that are cut at a line's end where there is one.
  static constexpr int64_t kPiece = int64_t{16} << 20;
  /// Longer lines, paragraphs and members of archives are RequestErrors.
  static constexpr int64_t kMostBytes = int64_t{256} << 20;

  /// Files, folders and glob patterns, in an order that every machine agrees on; a pattern that
  /// matches nothing is a RequestError, `where` the place for it.
  explicit CorpusReader(const CorpusOptions& options, const SourceLocation& where = {});
  ~CorpusReader();
  CorpusReader(CorpusReader&&) noexcept;

  /// The next document (or piece of one); false behind the last. Empty ones are passed over. What
  /// breaks a format is a RequestError with file, line and column.
  bool next(CorpusDocument& document);
  /// Where the reader stands, and going there. Going back in a packed file unpacks it from its
  /// start.
  CorpusPlace place() const;
  void seek(const CorpusPlace& place);

  const std::vector<std::string>& files() const { return files_; }
  /// Bytes of the files as they lie on the disk, and how many of them have been read.
  int64_t bytes() const { return bytes_; }
  int64_t bytes_read() const;
  /// What is passed over because it holds NUL bytes: files, "FILE from byte N on", "TAR:MEMBER".
  /// Each once; files() are without those that are passed over whole.
  const std::vector<std::string>& skipped() const { return skipped_; }

  /// What reads the documents of one file.
  class FileReader {
   public:
    virtual ~FileReader() = default;
    virtual bool next(CorpusDocument& document) = 0;
    virtual CorpusPlace place() const = 0;  ///< but for `file`
    virtual int64_t bytes_read() const = 0;

    /// What a document with a NUL byte says: nothing (JSON may write one), that it is no text
    /// itself, or that from it on the file is none.
    enum class Nul { allowed, ends_document, ends_file };
    virtual Nul nul() const = 0;
  };

 private:
  void pass_over(const std::string& what);
  bool is_text(const CorpusDocument& document, int64_t offset);

  CorpusOptions options_;
  std::vector<std::string> files_, skipped_;
  std::vector<int64_t> sizes_;
  int64_t bytes_ = 0;
  int64_t file_ = 0;
  std::unique_ptr<FileReader> reader_;  // of files_[file_]; null: not open
};

/// The text of a line of JSON Lines: its member `field`; RequestErrors name file, line and column.
std::string json_document(const std::string& json, const std::string& field,
                          const SourceLocation& where);

}  // namespace heed::data
