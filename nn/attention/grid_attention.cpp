#include "nn/attention/grid_attention.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "nn/attention/relative_table.h"
#include "nn/attention/virtual_keys.h"
#include "nn/init.h"

namespace heed::nn {

void WindowPartitionOptions::options(Options& o) {
  o.field("window", window, "tokens of a window along an axis", {.min = 1});
  o.field("shift", shift, "shift the windows by half of one in every second layer");
  o.field("relative", relative, "learned biases by relative offset");
  o.field("axes", axes, "of the table with `relative`: 1 for sequences, 2 for maps, 3 for clips",
          {.min = 1, .max = 3});
}

WindowPartitionAttention::WindowPartitionAttention(const AttentionHost& given,
                                                   const WindowPartitionOptions& options)
    : PatternAttention(given), options_(options) {
  if (!options_.relative) return;
  table = Tensor::empty({host().heads, relative_table_entries(windows())});
  parameters({{"table", table, relative_table_init()}});
}

void WindowPartitionAttention::split_heads(const TensorSplitPointer& split) {
  split_projections(split);
  if (table.defined()) keep_shard(table, heads_shard(*split, 0));
}

AttentionPattern WindowPartitionAttention::pattern(const PatternRequest& request) const {
  std::vector<int64_t> grid, window, shift;
  for (int a = 0; a < request.grid.rank(); ++a) {
    grid.push_back(request.grid[a]);
    window.push_back(options_.window);
    const bool shifted =
        options_.shift && host().layer % 2 == 1 && options_.window < request.grid[a];
    shift.push_back(shifted ? options_.window / 2 : 0);
  }
  return AttentionPattern::windows(grid, window, shift);
}

void WindowPartitionAttention::add_terms(AttentionScore& score,
                                         const PatternRequest& request) const {
  if (!options_.relative) return;
  add_relative_table(score, table, request, windows(),
                     std::vector<int64_t>(static_cast<size_t>(options_.axes), 1));
}

void HaloOptions::options(Options& o) {
  o.field("block", block, "tokens of a block along an axis", {.min = 1});
  o.field("halo", halo, "tokens that a block sees beyond itself on either side", {.min = 0});
  o.field(
      "border", border,
      "beyond the map: keys of zeros that count in the softmax (with `relative`, by the logit of "
      "their offset), none, or a shift inwards",
      {.one_of = {"virtual", "crop", "shift"}});
  o.field("relative", relative, "learned vectors by offset along each axis, times the query");
  o.field("axes", axes, "of the map with `relative`: 1 for sequences, 2 for maps, 3 for clips",
          {.min = 1, .max = 3});
}

HaloAttention::HaloAttention(const AttentionHost& given, const HaloOptions& options)
    : PatternAttention(given), options_(options) {
  if (!options_.relative) return;
  const int64_t window = options_.block + 2 * options_.halo, width = host().head_dim;
  const double std = 1.0 / std::sqrt(static_cast<double>(width));
  tables.resize(static_cast<size_t>(options_.axes));
  for (size_t a = 0; a < tables.size(); ++a) {
    tables[a] = Tensor::empty({2 * window - 1, width});
    constexpr const char* kNames[] = {"table0", "table1", "table2"};
    parameters({{kNames[a], tables[a], init::truncated_normal(std)}});
  }
}

void HaloAttention::add_query_terms(AttentionScore& score, const Tensor& q,
                                    const PatternRequest& request) const {
  const auto axes = static_cast<int64_t>(tables.size());
  HEED_CHECK(request.grid.rank() == axes,
             "attention: relative tables of {} axes for tokens on {} axes: set `axes`", axes,
             request.grid.rank());
  std::vector<int64_t> grid;
  for (int a = 0; a < request.grid.rank(); ++a) grid.push_back(request.grid[a]);
  std::vector<Tensor> logits;
  for (size_t a = 0; a < tables.size(); ++a) {
    logits.push_back(relative_logits(q, cast(tables[a], q.dtype())));
    // A window that is shifted inwards at the border reaches as far to one side as it is wide.
    const auto index = relative_axis(grid, static_cast<int>(a), options_.block + 2 * options_.halo);
    RelativeLogits& own = score.relative_logits[a];
    own = {logits.back(), index};
    if (request.globals == 0) continue;
    const Shape& shape = own.logits.shape();
    const Tensor none =
        Tensor::zeros({shape[0], shape[1], shape[2], 1}, own.logits.dtype(), own.logits.device());
    own.logits = concat({own.logits, none}, 3);
    own.relative = behind_globals(*index, request.globals);
  }
  if (options_.border != "virtual") return;
  HEED_CHECK(!request.padded,
             "attention halo: border `virtual` counts keys beyond the map, which tokens of lengths "
             "of their own do not have: take `crop`");
  score.sink = virtual_key_logits(logits, halo_axes(request), request.globals);
}

std::vector<HaloAxis> HaloAttention::halo_axes(const PatternRequest& request) const {
  std::vector<HaloAxis> axes;
  for (int a = 0; a < request.grid.rank(); ++a)
    axes.push_back({.length = request.grid[a], .block = options_.block, .halo = options_.halo});
  return axes;
}

AttentionPattern HaloAttention::pattern(const PatternRequest& request) const {
  // The pattern's own virtual keys have logit 0: with offsets that have one, the sink stands for
  // them.
  const bool counted = options_.border == "virtual" && !options_.relative;
  const Border border = options_.border == "shift" ? Border::shift
                        : counted                  ? Border::virtual_keys
                                                   : Border::crop;
  return AttentionPattern::halo(halo_axes(request), border);
}

}  // namespace heed::nn
