// Separable patterns of the literature as their axis tables: neighborhoods, windows, halo blocks.
#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "kernels/attention/pattern.h"

namespace heed {
namespace {

/// The window of the query at `x` (GNA, arXiv 2504.16922; stride 1: FNA, arXiv 2403.04690): queries
/// of equal residue modulo the dilation form groups, within which places p count.
AxisKeys neighbors(const NeighborhoodAxis& axis, int64_t x) {
  const int64_t d = axis.dilation, k = axis.window, s = axis.stride;
  const int64_t residue = x % d, p = x / d;
  const int64_t length = axis.length / d + (residue < axis.length % d ? 1 : 0);
  int64_t start, end;
  if (axis.causal) {
    const int64_t leader = std::min(p / s * s + s - 1, length - 1);
    start = std::max<int64_t>(leader - k + 1, 0);
    end = p + 1;
  } else {
    const int64_t leader = std::min(p / s * s + s / 2, length - 1);
    start = std::clamp<int64_t>(leader - k / 2, 0, length - k);
    end = start + k;
  }
  return {static_cast<int32_t>(residue + d * start),
          static_cast<int32_t>(residue + d * (end - 1) + 1), static_cast<int32_t>(d)};
}

AxisKeys halo_keys(const HaloAxis& axis, int64_t query, Border border) {
  const int64_t first = query * axis.stride / axis.block * axis.block;
  const int64_t width = axis.block + 2 * axis.halo;
  int64_t start = first - axis.halo, end = start + width;
  if (border == Border::shift) {
    start = std::clamp<int64_t>(start, 0, std::max<int64_t>(axis.length - width, 0));
    end = start + width;
  }
  start = std::max<int64_t>(start, 0);
  end = std::min(end, axis.length);
  const int64_t beyond = border == Border::virtual_keys ? width - (end - start) : 0;
  return {static_cast<int32_t>(start), static_cast<int32_t>(end), 1, static_cast<int32_t>(beyond)};
}

}  // namespace

AttentionPattern AttentionPattern::neighborhood(const std::vector<NeighborhoodAxis>& axes) {
  std::vector<SeparableAxis> tables;
  for (const NeighborhoodAxis& axis : axes) {
    HEED_CHECK(axis.window >= 1 && axis.dilation >= 1 && axis.stride >= 1 &&
                   axis.stride <= axis.window && axis.window * axis.dilation <= axis.length,
               "attention: a neighborhood of window {}, dilation {}, stride {} does not fit {} "
               "tokens: window * dilation <= tokens and stride <= window",
               axis.window, axis.dilation, axis.stride, axis.length);
    SeparableAxis table{axis.length, {}, 1, axis.dilation};
    for (int64_t x = 0; x < axis.length; ++x) table.sees.push_back(neighbors(axis, x));
    tables.push_back(std::move(table));
  }
  return separable(tables, "neighborhood");
}

AttentionPattern AttentionPattern::windows(const std::vector<int64_t>& grid,
                                           const std::vector<int64_t>& window,
                                           const std::vector<int64_t>& shift) {
  HEED_CHECK(window.size() == grid.size() && (shift.empty() || shift.size() == grid.size()),
             "attention: {} window sizes and {} shifts for {} axes", window.size(), shift.size(),
             grid.size());
  std::vector<SeparableAxis> tables;
  for (size_t a = 0; a < grid.size(); ++a) {
    const int64_t size = window[a], by = shift.empty() ? 0 : shift[a];
    HEED_CHECK(size > 0 && by >= 0 && by < size, "attention: window {} shifted by {}", size, by);
    SeparableAxis table{grid[a], {}, by == 0 ? size : 1, 1};
    for (int64_t x = 0; x < grid[a]; ++x) {
      const int64_t first = (x + size - by) / size * size - (size - by);
      table.sees.push_back({static_cast<int32_t>(std::max<int64_t>(first, 0)),
                            static_cast<int32_t>(std::min(first + size, grid[a]))});
    }
    tables.push_back(std::move(table));
  }
  return separable(tables, "windows");
}

AttentionPattern AttentionPattern::halo(const std::vector<HaloAxis>& axes, Border border) {
  std::vector<SeparableAxis> tables;
  for (const HaloAxis& axis : axes) {
    HEED_CHECK(axis.block > 0 && axis.halo >= 0 && axis.stride > 0 && axis.block % axis.stride == 0,
               "attention: halo block {}, halo {}, stride {}: the stride must divide the block",
               axis.block, axis.halo, axis.stride);
    SeparableAxis table{axis.length, {}, axis.block, 1};
    for (int64_t x = 0; x * axis.stride < axis.length; ++x)
      table.sees.push_back(halo_keys(axis, x, border));
    tables.push_back(std::move(table));
  }
  return separable(tables, "halo");
}

}  // namespace heed
