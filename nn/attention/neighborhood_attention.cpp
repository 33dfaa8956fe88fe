#include "nn/attention/neighborhood_attention.h"

#include <algorithm>

#include "autograd/ops/layout.h"
#include "autograd/ops/view.h"
#include "nn/attention/relative_table.h"

namespace heed::nn {
namespace {

int64_t along(const std::vector<int64_t>& each, int64_t all, size_t axis) {
  return axis < each.size() ? each[axis] : all;
}

}  // namespace

void NeighborhoodOptions::options(Options& o) {
  o.field("window", window, "tokens that a token sees along an axis", {.min = 1});
  o.field("dilation", dilation, "distance between neighbouring ones", {.min = 1});
  o.field("stride", stride, "tokens in a row that share one window", {.min = 1});
  o.field("windows", windows, "the window along each axis, where they differ", {.min = 1});
  o.field("dilations", dilations, "the dilation along each axis", {.min = 1});
  o.field("strides", strides, "the stride along each axis", {.min = 1});
  o.field("causal_axes", causal_axes,
          "axes (counted from 0) along which a token sees itself and what comes before",
          {.min = 0, .max = 2});
  o.field("relative", relative, "learned biases by relative offset");
  o.field("axes", axes,
          "of the table with `relative`: 1 for sequences, 2 for maps, 3 for clips; of a causal "
          "model always 1",
          {.min = 1, .max = 3});
  o.field("fit", fit,
          "a map smaller than window x dilation: shrink these, or pad the map with zeros that are "
          "attended to like any token (as NAT's code does)",
          {.one_of = {"shrink", "pad"}});
  for (size_t a = 0; a < 3; ++a) {
    const int64_t s = along(strides, stride, a), w = along(windows, window, a);
    o.check(s <= w, "stride", fmt::format("stride ({}) must be at most window ({})", s, w));
  }
  const auto at_most_three = [&](const char* name, const std::vector<int64_t>& each) {
    o.check(each.size() <= 3, name, fmt::format("{}: {} of at most 3 axes", name, each.size()));
  };
  at_most_three("windows", windows);
  at_most_three("dilations", dilations);
  at_most_three("strides", strides);
}

NeighborhoodAttention::NeighborhoodAttention(const AttentionHost& given,
                                             const NeighborhoodOptions& options)
    : PatternAttention(given), options_(options) {
  if (host().causal) options_.axes = 1;
  if (!options_.relative) return;
  std::vector<int64_t> windows;
  for (size_t a = 0; a < static_cast<size_t>(options_.axes); ++a) windows.push_back(axis(a).window);
  table = Tensor::empty({host().heads, relative_table_entries(windows)});
  parameters({{"table", table, relative_table_init()}});
}

NeighborhoodAxis NeighborhoodAttention::axis(size_t index) const {
  const std::vector<int64_t>& causal = options_.causal_axes;
  return {.length = 0,
          .window = along(options_.windows, options_.window, index),
          .dilation = along(options_.dilations, options_.dilation, index),
          .stride = along(options_.strides, options_.stride, index),
          .causal = host().causal || std::find(causal.begin(), causal.end(),
                                               static_cast<int64_t>(index)) != causal.end()};
}

Shape NeighborhoodAttention::fitted(const Shape& grid) const {
  Shape larger = grid;
  for (int a = 0; a < grid.rank(); ++a) {
    const NeighborhoodAxis own = axis(static_cast<size_t>(a));
    larger[a] = std::max(grid[a], own.window * own.dilation);
  }
  return larger;
}

Tensor NeighborhoodAttention::forward(const Tensor& x, const AttentionContext& context) {
  const Shape grid = context.grid.rank() > 0 ? context.grid : Shape{x.size(1)};
  if (!pads() || fitted(grid) == grid) return PatternAttention::forward(x, context);
  HEED_CHECK(context.globals == 0 && !context.lengths.defined() && !context.bias.defined() &&
                 host().position != "rotary" && grid.numel() == x.size(1),
             "attention neighborhood: padding is for whole maps alone, without rotary positions: "
             "take `fit: shrink`");
  AttentionContext padded;
  padded.grid = fitted(grid);
  const auto batched = [&](const Shape& shape) {
    Shape all{x.size(0)};
    for (const int64_t extent : shape) all.push_back(extent);
    all.push_back(x.size(2));
    return all;
  };
  std::vector<PadWidth> widths;
  for (int a = 0; a < grid.rank(); ++a) widths.push_back({a + 1, 0, padded.grid[a] - grid[a]});
  const Tensor map = pad(reshape(x, batched(grid)), widths);
  Tensor y = PatternAttention::forward(reshape(map, {x.size(0), -1, x.size(2)}), padded);
  y = reshape(y, batched(padded.grid));
  for (int a = 0; a < grid.rank(); ++a) y = slice(y, a + 1, 0, grid[a]);
  return reshape(y, x.shape());
}

double NeighborhoodAttention::flops(int64_t tokens) const {
  PatternRequest request = likely_request(tokens);
  if (pads() && request.globals == 0) {
    request.grid = fitted(request.grid);
    request.queries = request.keys = request.grid.numel();
  }
  return PatternAttention::flops(request);
}

void NeighborhoodAttention::split_heads(const TensorSplitPointer& split) {
  split_projections(split);
  if (table.defined()) keep_shard(table, heads_shard(*split, 0));
}

// Long enough for every window, so that what a token sees does not depend on how many follow it.
AttentionPattern NeighborhoodAttention::causal_pattern(const PatternRequest& request) const {
  HEED_CHECK(request.grid.rank() == 1,
             "attention neighborhood: a causal model's tokens are a sequence, got a map of {}",
             request.grid);
  NeighborhoodAxis own = axis(0);
  const int64_t group = own.dilation * own.stride;
  own.length = std::max(own.window * own.dilation, (request.keys + group - 1) / group * group);
  const AttentionPattern whole = AttentionPattern::neighborhood({own});
  if (request.offset == 0 && request.keys == own.length) return whole;
  AttentionPart part;
  part.queries = {.first = request.offset, .count = request.queries};
  part.keys = {.count = request.keys};
  part.whole_queries = part.whole_keys = own.length;
  AttentionPattern pattern = AttentionPattern::part(whole, part);
  pattern.query_offset = request.offset;
  return pattern;
}

AttentionPattern NeighborhoodAttention::pattern(const PatternRequest& request) const {
  if (host().causal) return causal_pattern(request);
  std::vector<NeighborhoodAxis> axes;
  for (int a = 0; a < request.grid.rank(); ++a) {
    NeighborhoodAxis own = axis(static_cast<size_t>(a));
    own.length = request.grid[a];
    own.dilation = std::min(own.dilation, own.length);
    own.window = std::min(own.window, own.length / own.dilation);
    own.stride = std::min(own.stride, own.window);
    axes.push_back(own);
  }
  return AttentionPattern::neighborhood(axes);
}

void NeighborhoodAttention::add_terms(AttentionScore& score, const PatternRequest& request) const {
  if (!options_.relative) return;
  std::vector<int64_t> windows, dilations;
  for (size_t a = 0; a < static_cast<size_t>(options_.axes); ++a) {
    windows.push_back(axis(a).window);
    dilations.push_back(axis(a).dilation);
  }
  add_relative_table(score, table, request, windows, dilations);
}

}  // namespace heed::nn
