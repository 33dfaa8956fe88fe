// The patterns that `heed bench attention` knows by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/attention/pattern.h"

namespace heed::tools {

struct BenchPattern {
  std::string name = "causal";
  int64_t batch = 1;      ///< sequences: `lengths` gives each its own
  int64_t tokens = 1024;  ///< of a sequence; a grid has its own
  std::string grid = {};  ///< "56x56"; empty: a sequence
  int64_t window = 0;     ///< along each axis; 0: 256, or 7 on a map
  int64_t dilation = 1, stride = 1, block = 64, halo = 3, sinks = 0;
  int64_t kept = 64;    ///< keys that are drawn
  int64_t shift = 0;    ///< of windows side by side
  bool causal = false;  ///< a neighborhood's axes

  /// Lengths of the axes: the grid's, or `tokens`. Throws RequestError for what is not a grid of at
  /// most 2^24 tokens.
  std::vector<int64_t> axes() const;
  /// Throws RequestError for a name that is not among bench_patterns(), and for a grid where the
  /// pattern is one of sequences.
  AttentionPattern make() const;
  /// Those of a neighborhood without a stride; none for other patterns.
  std::vector<NeighborhoodAxis> neighborhood_axes() const;
  /// Whether `window` is what the pattern's pairs grow with.
  bool has_window() const;
};

const std::vector<std::string>& bench_patterns();

/// Lengths of the axes of a map, "56x56". Throws RequestError for what is not a grid of at most
/// 2^24 tokens.
std::vector<int64_t> grid_lengths(const std::string& grid);

}  // namespace heed::tools
