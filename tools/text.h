// Wrapped text and tables.
#pragma once

#include <string>
#include <vector>

namespace heed::tools {

/// Text broken at spaces into lines of at most `width` characters, each after the first indented.
std::string wrapped(const std::string& text, int width, int indent);
/// Characters of a UTF-8 text (code points).
int display_width(const std::string& text);

/// Rows of cells in aligned columns.
class Table {
 public:
  /// Columns in `right` (from 0) are aligned to the right.
  explicit Table(std::vector<std::string> header = {}, std::vector<int> right = {});
  void row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// Lines that end in '\n'; the last column is wrapped at `width`.
  std::string to_string(int indent = 2, int width = 100) const;

 private:
  std::vector<std::string> header_;
  std::vector<int> right_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace heed::tools
