// Texts in columns: CSV, TSV and JSON lines, the same for every dataset of such rows.
#pragma once

#include <string>
#include <vector>

#include "core/options.h"

namespace heed::data {

struct TableOptions {
  std::string format;
  bool header = false;
  void options(Options& o);
};

struct TableRow {
  std::vector<std::string> fields;  ///< of the columns asked for, in their order
  SourceLocation where;
};

/// The rows of the files that the patterns name (see text_source.h); none for no pattern. Columns
/// are numbers from 0 where there is no header (CSV, TSV), else names; in JSON lines fields of
/// objects, numbers in their shortest form (1.50 is 1.5). RequestErrors name the file and line.
std::vector<TableRow> read_table(const std::vector<std::string>& patterns,
                                 const std::vector<std::string>& columns,
                                 const TableOptions& options, const std::string& encoding,
                                 const SourceLocation& where = {});

/// "The option `encoding`" of datasets of texts.
void encoding_option(Options& o, std::string& encoding);
/// Bytes of that encoding ("latin-1") as UTF-8; those of "utf-8" as they are.
std::string decode_text(std::string text, const std::string& encoding);

}  // namespace heed::data
