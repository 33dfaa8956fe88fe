#include "recipes/engine/hf/tensor_map.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/views.h"

namespace heed::recipes::hf {
namespace {

// Row of the table for a name, and what is left of the name behind its pattern.
std::pair<const TensorRow*, std::string> row_of(const Naming& naming, const std::string& name) {
  const std::string stem = name.substr(0, name.rfind('.'));
  for (const auto* rows : {naming.architecture != nullptr ? &naming.architecture->tensors : nullptr,
                           &naming.family->tensors}) {
    if (rows == nullptr) continue;
    for (const TensorRow& row : *rows) {
      if (row.ours == name) return {&row, ""};
      if (row.ours == stem) return {&row, name.substr(stem.size())};
    }
  }
  return {nullptr, ""};
}

std::vector<int64_t> rows_of(const TensorRow& row, const Config& model, int64_t rows) {
  const auto parts = static_cast<int64_t>(row.theirs.size());
  if (!row.heads) return std::vector<int64_t>(row.theirs.size(), rows / parts);
  // Of a model of several parts, the part's own heads.
  const Config* part = model.find(row.ours.substr(0, row.ours.find('.')));
  const Config& own = part != nullptr && part->is_map() ? *part : model;
  const int64_t heads = own.at("heads").as_integer();
  const Config* grouped = own.find("kv_heads");
  const int64_t kv_heads = grouped == nullptr ? heads : grouped->as_integer();
  const int64_t width = rows / (heads + 2 * kv_heads);
  return {heads * width, kv_heads * width, kv_heads * width};
}

}  // namespace

std::pair<std::string, std::string> without_number(const std::string& name) {
  constexpr std::string_view kBlocks = "blocks.";
  const size_t dot = name.find('.');
  const bool of_part =
      dot != std::string::npos && name.compare(dot + 1, kBlocks.size(), kBlocks) == 0;
  if (!of_part && !name.starts_with(kBlocks)) return {name, ""};
  const size_t begin = (of_part ? dot + 1 : 0) + kBlocks.size();
  const size_t end = name.find('.', begin);
  if (end == std::string::npos) return {name, ""};
  return {name.substr(0, begin) + "{}" + name.substr(end), name.substr(begin, end - begin)};
}

std::string with_number(std::string pattern, const std::string& number) {
  const size_t at = pattern.find("{}");
  return at == std::string::npos ? pattern : pattern.replace(at, 2, number);
}

Layout layout_for(const Shape& shape, Layout layout) {
  const bool matrix = layout == Layout::pointwise || layout == Layout::square;
  if (layout == Layout::channels && shape.rank() != 4) return Layout::same;
  return matrix && shape.rank() != 2 ? Layout::same : layout;
}

Shape their_shape(const Shape& shape, Layout layout) {
  if (layout == Layout::transposed && shape.rank() == 2) return {shape[1], shape[0]};
  if (layout == Layout::channels) return {shape[0], shape[3], shape[1], shape[2]};
  if (layout == Layout::pointwise) return {shape[0], shape[1], 1, 1};
  if (layout == Layout::square) {
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(shape[1]))));
    return {shape[0], side, side};
  }
  if (layout == Layout::row) {
    Shape wider = {1};
    for (const int64_t extent : shape) wider.push_back(extent);
    return wider;
  }
  return shape;
}

Placement placement_of(const Naming& naming, const std::string& ours, const Shape& shape) {
  const auto [canonical, number] = without_number(ours);
  const auto [row, leaf] = row_of(naming, canonical);
  const Placement itself{{{ours, shape.rank() == 0 ? 1 : shape[0], shape}}};
  if (row == nullptr || shape.rank() == 0) return itself;
  Placement placement;
  placement.layout = layout_for(shape, row->layout);
  const std::vector<int64_t> rows = rows_of(*row, naming.model, shape[0]);
  // A mechanism may have more rows there than queries, keys and values.
  if (std::accumulate(rows.begin(), rows.end(), int64_t{0}) != shape[0]) return itself;
  for (size_t i = 0; i < row->theirs.size(); ++i) {
    std::string name = with_number(row->theirs[i], number) + leaf;
    const std::string& prefix = naming.family->prefix;
    if (naming.bare && name.starts_with(prefix)) name = name.substr(prefix.size());
    Shape own = shape;
    own[0] = rows[i];
    placement.parts.push_back({name, rows[i], their_shape(own, placement.layout)});
  }
  return placement;
}

Tensor to_ours(const Tensor& theirs, Layout layout) {
  if (layout == Layout::transposed && theirs.rank() == 2) return views::transpose(theirs, 0, 1);
  if (layout == Layout::channels) return views::permute(theirs, {0, 2, 3, 1});
  if (layout == Layout::row) return views::select(theirs, 0, 0);
  if (layout == Layout::pointwise || layout == Layout::square) {
    return views::reshape(theirs, {theirs.size(0), theirs.numel() / theirs.size(0)});
  }
  return theirs;
}

Tensor to_theirs(const Tensor& ours, Layout layout) {
  if (layout == Layout::transposed && ours.rank() == 2) return views::transpose(ours, 0, 1);
  if (layout == Layout::channels) return views::permute(ours, {0, 3, 1, 2});
  if (layout == Layout::row) return views::unsqueeze(ours, 0);
  if (layout == Layout::pointwise || layout == Layout::square) {
    return views::reshape(ours, their_shape(ours.shape(), layout));
  }
  return ours;
}

}  // namespace heed::recipes::hf
