// Learned biases of attention scores by relative position: a table over the offsets of a 2-D window
// (Swin; Liu et al., arXiv 2103.14030, eq. 4), or over logarithmic buckets of distance in a
// sequence (T5; Raffel et al., arXiv 1910.10683, section 2.1).
#pragma once

#include "core/options.h"
#include "nn/module.h"
#include "nn/resized_table.h"

namespace heed::nn {

/// Row of the table for each pair of an height x width window, i64 [N, N], N = height width: query
/// (y, x) and key (v, u) have row (y - v + height - 1) (2 width - 1) + x - u + width - 1.
Tensor window_offsets(int64_t height, int64_t width);

struct WindowPositionOptions {
  int64_t heads = 0;
  int64_t height = 7;
  int64_t width = 7;

  void options(Options& o);
};

struct WindowPosition : Module, ResizesTables {
  explicit WindowPosition(const WindowPositionOptions& options);

  /// The bias of every pair, [heads, N, N].
  Tensor bias();
  /// scores [B, heads, N, N] -> scores + bias.
  Tensor forward(const Tensor& scores);
  Tensor resized_table(const std::string& name, const Tensor& given) const override;

  Tensor table;  // [(2 height - 1) (2 width - 1), heads]

 private:
  int64_t height_, width_;
  Tensor offsets_;
};

/// T5's bucket of an offset (key's position - query's). Half of the buckets are single distances,
/// the rest grow logarithmically up to `max_distance`, and all beyond share the last; when
/// bidirectional, later keys have the upper half of the buckets, else they share bucket 0.
int64_t t5_bucket(int64_t offset, int64_t buckets, int64_t max_distance, bool bidirectional);

struct T5PositionOptions {
  int64_t heads = 0;
  int64_t buckets = 32;
  int64_t max_distance = 128;
  bool bidirectional = true;

  void options(Options& o);
};

struct T5Position : Module {
  explicit T5Position(const T5PositionOptions& options);

  /// The bias of every pair, [heads, queries, keys], the queries being the last of the keys.
  Tensor bias(int64_t queries, int64_t keys);
  /// scores [B, heads, N, M] -> scores + bias.
  Tensor forward(const Tensor& scores);

  Tensor table;  // [buckets, heads]

 private:
  T5PositionOptions options_;
};

}  // namespace heed::nn
