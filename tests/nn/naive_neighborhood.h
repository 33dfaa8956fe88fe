// Neighborhood attention by its definition, token by token: the oracle, written from the papers'
// formulas (arXiv 2204.07143, eq. 1-3; arXiv 2209.15001, eq. 2; arXiv 2403.04690) and nothing of
// the engine's.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace heed::nn::testing {

struct NaiveAxis {
  int64_t length, window, dilation = 1;
  bool causal = false;
};

struct NaiveNeighbour {
  int64_t token;  // or coordinate, of one axis
  int64_t entry;  // of the table of relative biases
};

/// The keys of coordinate i along one axis, and their entries m - p + k - 1.
inline std::vector<NaiveNeighbour> neighbours(const NaiveAxis& axis, int64_t i) {
  const int64_t g = i % axis.dilation, p = i / axis.dilation, k = axis.window;
  int64_t group = 0;
  for (int64_t j = g; j < axis.length; j += axis.dilation) ++group;
  int64_t start = std::min(std::max<int64_t>(p - k / 2, 0), group - k), end = start + k;
  if (axis.causal) start = std::max<int64_t>(p - k + 1, 0), end = p + 1;
  std::vector<NaiveNeighbour> found;
  for (int64_t m = start; m < end; ++m) found.push_back({g + axis.dilation * m, m - p + k - 1});
  return found;
}

/// Those of a token of a row-major grid: a key is seen when it is along every axis.
inline std::vector<NaiveNeighbour> neighbours(const std::vector<NaiveAxis>& axes, int64_t token) {
  std::vector<int64_t> place(axes.size());
  for (size_t a = axes.size(); a-- > 0;) {
    place[a] = token % axes[a].length;
    token /= axes[a].length;
  }
  std::vector<NaiveNeighbour> all = {{0, 0}};
  for (size_t a = 0; a < axes.size(); ++a) {
    std::vector<NaiveNeighbour> next;
    for (const NaiveNeighbour& before : all)
      for (const NaiveNeighbour& own : neighbours(axes[a], place[a]))
        next.push_back({before.token * axes[a].length + own.token,
                        before.entry * (2 * axes[a].window - 1) + own.entry});
    all = next;
  }
  return all;
}

/// softmax over the neighbours of q.k scale + table, times v: q, k, v and the result [N, D] of one
/// head; `table` may be empty.
inline std::vector<double> naive_neighborhood(const std::vector<NaiveAxis>& axes,
                                              const std::vector<double>& q,
                                              const std::vector<double>& k,
                                              const std::vector<double>& v,
                                              const std::vector<double>& table, double scale) {
  int64_t tokens = 1;
  for (const NaiveAxis& axis : axes) tokens *= axis.length;
  const size_t width = q.size() / static_cast<size_t>(tokens);
  std::vector<double> out(q.size(), 0.0);
  for (int64_t i = 0; i < tokens; ++i) {
    const auto seen = neighbours(axes, i);
    std::vector<double> weight(seen.size());
    double largest = -INFINITY, sum = 0.0;
    for (size_t n = 0; n < seen.size(); ++n) {
      double dot = 0.0;
      for (size_t c = 0; c < width; ++c)
        dot += q[static_cast<size_t>(i) * width + c] *
               k[static_cast<size_t>(seen[n].token) * width + c];
      weight[n] = scale * dot;
      if (!table.empty()) weight[n] += table[static_cast<size_t>(seen[n].entry)];
      largest = std::max(largest, weight[n]);
    }
    for (double& w : weight) sum += w = std::exp(w - largest);
    for (size_t n = 0; n < seen.size(); ++n)
      for (size_t c = 0; c < width; ++c)
        out[static_cast<size_t>(i) * width + c] +=
            weight[n] / sum * v[static_cast<size_t>(seen[n].token) * width + c];
  }
  return out;
}

}  // namespace heed::nn::testing
