// A description as people read it: the tree of modules, then the totals.
#include <algorithm>

#include "core/files.h"
#include "core/readable.h"
#include "recipes/engine/describe.h"

namespace heed::recipes {
namespace {

using Lines = std::vector<ModuleLine>;

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

/// One past the last line of the subtree that begins at `root`.
size_t subtree_end(const Lines& lines, size_t root) {
  size_t end = root + 1;
  while (end < lines.size() && lines[end].depth > lines[root].depth) ++end;
  return end;
}

/// Whether two subtrees differ in nothing but the names of their roots.
bool alike(const Lines& lines, size_t a, size_t b) {
  const size_t size = subtree_end(lines, a) - a;
  if (lines[a].depth != lines[b].depth || subtree_end(lines, b) - b != size) return false;
  for (size_t i = 0; i < size; ++i) {
    const ModuleLine &x = lines[a + i], &y = lines[b + i];
    if (x.parameters != y.parameters || x.tensors != y.tensors || x.depth != y.depth) return false;
    if (i > 0 && last_part(x.path) != last_part(y.path)) return false;
  }
  return true;
}

struct Row {
  std::string label;
  int64_t parameters;
  std::string note;
};

/// The lines to show: runs of equal siblings become one, modules without parameters are left out.
std::vector<Row> rows_of(const Lines& lines, int depth) {
  std::vector<Row> rows;
  for (size_t i = 0; i < lines.size();) {
    const ModuleLine& line = lines[i];
    size_t last = i, count = 1;
    for (size_t next = subtree_end(lines, i); next < lines.size() && alike(lines, i, next);
         next = subtree_end(lines, next)) {
      last = next;
      ++count;
    }
    const std::string indent(2 * static_cast<size_t>(line.depth), ' ');
    std::string name = line.path.empty() ? "model" : last_part(line.path);
    if (count > 1) name += " .. " + last_part(lines[last].path);
    std::string note = fmt::format("{}", fmt::join(line.tensors, ", "));
    if (count > 1)
      note += fmt::format("{}{} alike, {} each", note.empty() ? "" : "; ", count,
                          grouped(line.parameters));
    const bool shown = (depth < 0 || line.depth <= depth) &&
                       (line.depth == 0 || line.parameters > 0 || !line.tensors.empty());
    if (shown) {
      rows.push_back({indent + name, line.parameters * static_cast<int64_t>(count), note});
    }
    // The first of the equal ones is shown with what is below it, the others are passed over.
    if (count > 1) {
      const Lines below(lines.begin() + static_cast<std::ptrdiff_t>(i + 1),
                        lines.begin() + static_cast<std::ptrdiff_t>(subtree_end(lines, i)));
      for (Row& row : rows_of(below, depth)) rows.push_back(std::move(row));
      i = subtree_end(lines, last);
    } else {
      ++i;
    }
  }
  return rows;
}

std::string trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

std::string to_text(const Description& d, int depth) {
  std::string text = d.name + (d.description.empty() ? "" : ": " + d.description) + "\n";
  if (!d.data.empty()) text += d.data + "\n";
  text += "\n";
  const std::vector<Row> rows = rows_of(d.modules, depth);
  size_t width = 0;
  for (const Row& row : rows) width = std::max(width, row.label.size());
  for (const Row& row : rows) {
    text += trimmed(
        fmt::format("{:<{}}  {:>14}  {}", row.label, width, grouped(row.parameters), row.note));
  }

  const auto total = [&](const char* name, const std::string& value, const char* note = "") {
    text += trimmed(fmt::format("{:<13}  {:>14}  {}", name, value, note));
  };
  text += "\n";
  total("parameters", grouped(d.parameters));
  total("a step", grouped(d.items_per_step) + " " + d.item_name);
  total("", compact(d.flops_per_step), "FLOP, forward and backward");
  total("memory", format_bytes(d.total_bytes()), "estimate, of which");
  total("  parameters", format_bytes(d.parameter_bytes));
  total("  gradients", format_bytes(d.gradient_bytes));
  total("  optimizer", format_bytes(d.optimizer_bytes));
  if (d.ema_bytes > 0) total("  average", format_bytes(d.ema_bytes));
  total("  activations", format_bytes(d.activation_bytes), "kept for the backward pass");
  return text;
}

}  // namespace heed::recipes
