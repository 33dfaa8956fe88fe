// Text from files, folders and glob patterns, in an order that every machine agrees on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace heed::data {

struct Document {
  std::string path;  ///< as found; of a line of JSON lines "file.jsonl:12"
  std::string text;  ///< its bytes, as they are
};

struct TextSource {
  std::vector<Document> documents;   ///< sorted by path, each once, none empty
  std::vector<std::string> skipped;  ///< paths of files that hold NUL bytes: not text
  bool capped = false;               ///< max_bytes cut the last document or left some out

  int64_t bytes() const;
};

/// Reads what the patterns name: a file, a folder (every file below it, hidden ones left out) or a
/// glob (*, ?, [a-z], ** for any depth). "${NAME}" is the environment variable's value, a leading
/// "~/" the home folder; relative paths start at the working directory. Files with a NUL byte are
/// skipped, and named in `skipped`. `max_bytes` > 0 stops after that many bytes (at a UTF-8
/// character). Every line of a file that ends in .jsonl is an object whose member `field` is a
/// document. A pattern that matches nothing, an unset variable, and no text at all are
/// RequestErrors; `where` is the recipe's place for them.
TextSource read_text(const std::vector<std::string>& patterns, int64_t max_bytes = 0,
                     const SourceLocation& where = {}, const std::string& field = "text");

/// "; 2 not text (first: 'FILE')" for a summary; nothing where all is text.
std::string not_text(const std::vector<std::string>& skipped);

/// A path with its "${NAME}" and leading "~/" replaced, as read_text does.
std::string expand_path(const std::string& path, const SourceLocation& where = {});

/// The files that the patterns name, sorted, each once; errors as read_text.
std::vector<std::string> find_text_files(const std::vector<std::string>& patterns,
                                         const SourceLocation& where = {});

}  // namespace heed::data
