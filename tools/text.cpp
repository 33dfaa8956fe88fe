#include "tools/text.h"

#include <algorithm>
#include <sstream>

namespace heed::tools {

std::string wrapped(const std::string& text, int width, int indent) {
  std::string out, word;
  int column = 0;
  std::istringstream words(text);
  while (words >> word) {
    const int length = display_width(word);
    if (column > 0 && column + 1 + length > width) {
      out += '\n';
      out.append(static_cast<size_t>(indent), ' ');
      column = 0;
    }
    if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += length;
  }
  return out;
}

int display_width(const std::string& text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;  // all but continuation bytes
  }));
}

Table::Table(std::vector<std::string> header, std::vector<int> right)
    : header_(std::move(header)), right_(std::move(right)) {}

void Table::row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

std::string Table::to_string(int indent, int width) const {
  std::vector<std::vector<std::string>> rows = rows_;
  if (!header_.empty()) rows.insert(rows.begin(), header_);
  std::vector<int> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
  }
  int before_last = indent;
  for (size_t c = 0; c + 1 < widths.size(); ++c) before_last += widths[c] + 2;
  std::string out;
  for (const auto& row : rows) {
    std::string line(static_cast<size_t>(indent), ' ');
    for (size_t c = 0; c < row.size(); ++c) {
      const auto padding = static_cast<size_t>(widths[c] - display_width(row[c]));
      const bool right =
          std::find(right_.begin(), right_.end(), static_cast<int>(c)) != right_.end();
      if (right) line += std::string(padding, ' ');
      if (c + 1 < widths.size()) {
        line += row[c];
        if (!right) line += std::string(padding, ' ');
        line += "  ";
      } else {
        line += wrapped(row[c], std::max(width - before_last, 24), before_last);
      }
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

}  // namespace heed::tools
