// Line charts as SVG, drawn with the page's colours.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "recipes/engine/report/run_data.h"

namespace heed::recipes {

struct Line {
  std::string label;
  Series points;
  int color = 0;        ///< of the page's palette
  bool faint = false;   ///< raw values behind a smoothed line: neither in the legend nor hovered
  bool dots = false;    ///< mark the points (few, exact ones)
  bool dashed = false;  ///< a level to compare with
  bool joined = true;   ///< a line through the points; else the points alone
  std::vector<double> low = {}, high = {};  ///< a vertical bar at each point, or none
};

struct ChartOptions {
  std::string title;
  std::string unit;                        ///< after the title: "nats a token"
  bool log_scale = false;                  ///< of y, where all values are positive
  bool skip_start = false;                 ///< leave the first steps' high values outside
  bool from_zero = false;                  ///< y starts at 0
  std::vector<std::string> x_labels = {};  ///< names of x = 0, 1, ... in place of numbers
};

/// A figure of the lines; "" when there is nothing finite to draw. The points are repeated in a
/// data attribute, from which the page's script shows values under the pointer.
std::string chart(const ChartOptions& options, std::vector<Line> lines);

/// The same as an SVG file of its own: with its title, legend and colours, without values under the
/// pointer.
std::string chart_file(const ChartOptions& options, std::vector<Line> lines);

/// Ticks at 1, 2 or 5 times a power of ten, at most `most` of them, inside [low, high].
std::vector<double> ticks(double low, double high, int most);

/// Each point's average with its neighbours: `window` points, centred.
Series smoothed(const Series& raw, int64_t window);

/// At most `most` points: each the average of its neighbours.
Series thinned(const Series& series, size_t most);

/// Text for HTML: & < > " ' become entities, control characters are dropped.
std::string escaped(const std::string& text);

}  // namespace heed::recipes
