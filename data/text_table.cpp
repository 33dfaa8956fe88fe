#include "data/text_table.h"

#include <algorithm>
#include <charconv>

#include "core/files.h"
#include "core/json_lines.h"
#include "data/delimited.h"
#include "data/text_source.h"
#include "data/unicode.h"

namespace heed::data {
namespace {

class TableReader {
 public:
  TableReader(const std::vector<std::string>& columns, const TableOptions& options,
              const std::string& encoding)
      : columns_(columns), options_(options), encoding_(encoding) {}

  void read(const std::string& path, const SourceLocation& where) {
    const std::string format = format_of(path, where);
    const std::string text = decode_text(read_file(path), encoding_);
    if (format == "jsonl") {
      read_json_lines(text, path);
    } else {
      read_records(format == "csv" ? parse_csv(text, path) : parse_tsv(text), path);
    }
  }

  std::vector<TableRow> rows;

 private:
  std::string format_of(const std::string& path, const SourceLocation& where) const {
    if (!options_.format.empty()) return options_.format;
    for (const char* format : {"csv", "tsv", "jsonl"}) {
      if (path.ends_with(std::string(".") + format)) return format;
    }
    fail_request(where,
                 fmt::format("'{}' does not end in .csv, .tsv or .jsonl: say its format", path));
  }

  size_t place_of(const std::string& name, const Record& first, const std::string& path) const {
    if (options_.header) {
      const auto found = std::find(first.fields.begin(), first.fields.end(), name);
      if (found != first.fields.end()) return static_cast<size_t>(found - first.fields.begin());
      fail_request(SourceLocation{path, first.line},
                   fmt::format("no column '{}'{}", name, did_you_mean(name, first.fields)));
    }
    size_t column = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), column);
    if (error != std::errc() || end != name.data() + name.size()) {
      fail_request("'{}' is no column number; names need header: true", name);
    }
    return column;
  }

  void read_records(const std::vector<Record>& records, const std::string& path) {
    if (records.empty()) return;
    std::vector<size_t> places;
    for (const std::string& name : columns_) places.push_back(place_of(name, records[0], path));
    const size_t needed = *std::max_element(places.begin(), places.end());
    for (size_t i = options_.header ? 1 : 0; i < records.size(); ++i) {
      TableRow row{{}, SourceLocation{path, records[i].line}};
      if (records[i].fields.size() <= needed) {
        fail_request(row.where, fmt::format("{} fields; column {} is needed (from 0)",
                                            records[i].fields.size(), needed));
      }
      for (const size_t place : places) row.fields.push_back(records[i].fields[place]);
      rows.push_back(std::move(row));
    }
  }

  void read_json_lines(const std::string& text, const std::string& path) {
    int line = 1;
    for (size_t at = 0; at < text.size(); ++line) {
      const size_t end = std::min(text.find('\n', at), text.size());
      const std::string json = text.substr(at, end - at);
      at = end + 1;
      if (json.find_first_not_of(" \t\r") == json.npos) continue;
      const Config object = parse_json_line(json, path, line);
      TableRow row{{}, SourceLocation{path, line}};
      for (const std::string& name : columns_) {
        const Config& value = object.at(name);
        row.fields.push_back(value.is_number() ? value.to_json() : value.as_string());
      }
      rows.push_back(std::move(row));
    }
  }

  const std::vector<std::string>& columns_;
  const TableOptions& options_;
  const std::string& encoding_;
};

}  // namespace

void TableOptions::options(Options& o) {
  o.field("format", format, "csv, tsv or jsonl; empty: by the file's name",
          {.one_of = {"", "csv", "tsv", "jsonl"}});
  o.field("header", header, "whether the first record of a CSV or TSV names the columns");
}

void encoding_option(Options& o, std::string& encoding) {
  o.field("encoding", encoding, "of the files; in utf-8, stray bytes are kept as they are",
          {.one_of = {"utf-8", "latin-1"}});
}

std::vector<TableRow> read_table(const std::vector<std::string>& patterns,
                                 const std::vector<std::string>& columns,
                                 const TableOptions& options, const std::string& encoding,
                                 const SourceLocation& where) {
  if (patterns.empty()) return {};
  TableReader reader(columns, options, encoding);
  for (const std::string& path : find_text_files(patterns, where)) reader.read(path, where);
  return std::move(reader.rows);
}

std::string decode_text(std::string text, const std::string& encoding) {
  if (encoding != "latin-1") return text;
  std::string out;
  for (const char c : text) append_code_point(out, static_cast<unsigned char>(c));
  return out;
}

}  // namespace heed::data
