// parse_csv and parse_tsv on any text. Records written as CSV, every field in quotes, are read back
// equal.
#include <string>
#include <string_view>
#include <vector>

#include "data/delimited.h"
#include "tests/fuzz/harness.h"

namespace {

using heed::data::Record;

std::string quoted(const std::vector<Record>& records) {
  std::string text;
  for (const Record& record : records) {
    for (size_t i = 0; i < record.fields.size(); ++i) {
      text += i == 0 ? "\"" : ",\"";
      for (const char c : record.fields[i]) text += c == '"' ? "\"\"" : std::string(1, c);
      text += '"';
    }
    text += '\n';
  }
  return text;
}

void check(const std::vector<Record>& records) {
  int line = 0;
  for (const Record& record : records) {
    heed::promise(!record.fields.empty(), "a record has fields");
    heed::promise(record.line > line, "records begin one after another");
    line = record.line;
  }
  heed::never_refused([&] {
    const std::vector<Record> again = heed::data::parse_csv(quoted(records), "again");
    heed::promise(again.size() == records.size(), "every record comes back");
    for (size_t i = 0; i < records.size(); ++i) {
      heed::promise(again[i].fields == records[i].fields, "every field comes back");
    }
  });
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  heed::read_or_refuse([&] { check(heed::data::parse_csv(text, "input")); });
  heed::read_or_refuse([&] { check(heed::data::parse_tsv(text)); });
  return 0;
}
