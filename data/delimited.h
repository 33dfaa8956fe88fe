// Records of fields: CSV (RFC 4180) and TSV.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace heed::data {

struct Record {
  std::vector<std::string> fields;
  int line = 1;  ///< where it begins
};

/// The records of a CSV text. A field may stand in double quotes, and may then hold separators,
/// line breaks and doubled quotes. Lines end in LF or CRLF; empty lines are passed over. Text
/// behind a closing quote, a quote within an unquoted field and a quote that never closes are
/// RequestErrors with `name` and the line.
std::vector<Record> parse_csv(std::string_view text, const std::string& name, char separator = ',');

/// The records of a TSV text: fields between tabs, as they are; "\t", "\n", "\r" and "\\" stand
/// for those characters (the IANA media type's rules with the usual escapes).
std::vector<Record> parse_tsv(std::string_view text);

}  // namespace heed::data
