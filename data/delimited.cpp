#include "data/delimited.h"

#include <algorithm>

#include "core/error.h"

namespace heed::data {
namespace {

class CsvParser {
 public:
  CsvParser(std::string_view text, const std::string& name, char separator)
      : text_(text), name_(name), separator_(separator) {}

  std::vector<Record> parse() {
    std::vector<Record> records;
    while (at_ < text_.size()) {
      if (end_line()) continue;
      Record record{{}, line_};
      for (;;) {
        record.fields.push_back(text_[at_] == '"' ? quoted() : plain());
        if (at_ == text_.size() || end_line()) break;
        ++at_;  // a separator
        if (at_ == text_.size()) {
          record.fields.emplace_back();
          break;
        }
      }
      records.push_back(std::move(record));
    }
    return records;
  }

 private:
  [[noreturn]] void reject(int line, const char* message) const {
    fail_request(SourceLocation{name_, line}, message);
  }

  bool is_end() const {
    return text_[at_] == '\n' || (text_[at_] == '\r' && text_.substr(at_, 2) == "\r\n");
  }

  bool end_line() {
    if (!is_end()) return false;
    at_ += text_[at_] == '\n' ? 1 : 2;
    ++line_;
    return true;
  }

  std::string plain() {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != separator_ && !is_end()) {
      if (text_[at_] == '"') reject(line_, "a quote within a field that does not begin with one");
      ++at_;
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string quoted() {
    const int line = line_;
    std::string field;
    for (++at_;;) {
      const size_t quote = text_.find('"', at_);
      if (quote == text_.npos) reject(line, "a quoted field that never ends");
      const std::string_view part = text_.substr(at_, quote - at_);
      line_ += static_cast<int>(std::count(part.begin(), part.end(), '\n'));
      field += part;
      at_ = quote + 1;
      if (at_ == text_.size() || text_[at_] != '"') break;
      field += '"';
      ++at_;
    }
    if (at_ < text_.size() && text_[at_] != separator_ && !is_end()) {
      reject(line_, "text behind a field's closing quote");
    }
    return field;
  }

  std::string_view text_;
  const std::string& name_;
  char separator_;
  size_t at_ = 0;
  int line_ = 1;
};

std::string unescape_tsv(std::string_view field) {
  std::string out;
  for (size_t i = 0; i < field.size(); ++i) {
    const std::string_view escapes = "tnr\\", meanings = "\t\n\r\\";
    const size_t kind =
        field[i] == '\\' && i + 1 < field.size() ? escapes.find(field[i + 1]) : escapes.npos;
    if (kind == escapes.npos) {
      out += field[i];
    } else {
      out += meanings[kind];
      ++i;
    }
  }
  return out;
}

}  // namespace

std::vector<Record> parse_csv(std::string_view text, const std::string& name, char separator) {
  return CsvParser(text, name, separator).parse();
}

std::vector<Record> parse_tsv(std::string_view text) {
  std::vector<Record> records;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = text.find('\n');
    std::string_view row = text.substr(0, end);
    text = end == text.npos ? "" : text.substr(end + 1);
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty()) continue;
    Record record{{}, line};
    for (;;) {
      const size_t tab = row.find('\t');
      record.fields.push_back(unescape_tsv(row.substr(0, tab)));
      if (tab == row.npos) break;
      row = row.substr(tab + 1);
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace heed::data
