#include "recipes/engine/report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/readable.h"
#include "core/text.h"

namespace heed::recipes {
namespace {

// The drawing's own units; the page scales it.
constexpr double kWidth = 640, kHeight = 300;
constexpr double kLeft = 58, kRight = 26, kTop = 12, kBottom = 34;
constexpr size_t kMostPoints = 500;

/// The part of the plane that is shown.
struct Window {
  double x0, x1, y0, y1;
  bool log_scale;

  double x(double value) const {
    return kLeft + (value - x0) / (x1 - x0) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    const double v = log_scale ? std::log10(std::max(value, 1e-300)) : value;
    const double at = (v - y0) / (y1 - y0);
    return kHeight - kBottom - std::clamp(at, -4.0, 5.0) * (kHeight - kTop - kBottom);
  }
};

std::string tick_label(double value) {
  const double magnitude = std::abs(value);
  if (value == 0.0) return "0";
  if (magnitude >= 1e9) return fmt::format("{:.4g}G", value / 1e9);
  if (magnitude >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (magnitude >= 1e4) return fmt::format("{:.4g}k", value / 1e3);
  if (magnitude >= 1e3) return grouped(std::llround(value));
  if (magnitude < 1e-3) return fmt::format("{:.1e}", value);
  return fmt::format("{:.4g}", value);
}

void drop_what_is_not_finite(Line& line) {
  const bool bars = line.low.size() == line.points.x.size() && line.high.size() == line.low.size();
  Line kept;
  for (size_t i = 0; i < line.points.x.size(); ++i) {
    if (!std::isfinite(line.points.y[i])) continue;
    kept.points.add(line.points.x[i], line.points.y[i]);
    if (!bars) continue;
    const bool finite = std::isfinite(line.low[i]) && std::isfinite(line.high[i]);
    kept.low.push_back(finite ? line.low[i] : line.points.y[i]);
    kept.high.push_back(finite ? line.high[i] : line.points.y[i]);
  }
  line.points = std::move(kept.points);
  line.low = std::move(kept.low);
  line.high = std::move(kept.high);
}

Window window_of(const ChartOptions& options, const std::vector<Line>& lines) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Window window{kInfinity, -kInfinity, kInfinity, -kInfinity, options.log_scale};
  for (const Line& line : lines) {
    for (const double x : line.points.x) {
      window.x0 = std::min({window.x0, x, 0.0});  // the same origin in all charts
      window.x1 = std::max(window.x1, x);
    }
  }
  const double start = options.skip_start ? window.x0 + 0.03 * (window.x1 - window.x0) : window.x0;
  for (const Line& line : lines) {
    for (size_t i = 0; i < line.points.x.size(); ++i) {
      double y = line.points.y[i];
      if (options.log_scale && y <= 0.0) continue;
      if (options.log_scale) y = std::log10(y);
      window.y0 = std::min(window.y0, y);
      if (line.dashed || line.points.x[i] >= start) window.y1 = std::max(window.y1, y);
    }
    for (size_t i = 0; i < line.low.size() && !options.log_scale; ++i) {
      window.y0 = std::min(window.y0, line.low[i]);
      window.y1 = std::max(window.y1, line.high[i]);
    }
  }
  if (!options.x_labels.empty()) {
    window.x0 = -0.5;
    window.x1 = static_cast<double>(options.x_labels.size()) - 0.5;
  }
  if (window.x1 <= window.x0) window.x1 = window.x0 + 1.0;
  if (options.from_zero && !options.log_scale) window.y0 = std::min(window.y0, 0.0);
  const double span = window.y1 - window.y0;
  const double margin = span > 0.0 ? 0.06 * span : std::max(0.05 * std::abs(window.y1), 1e-9);
  if (!options.from_zero || window.y0 < 0.0) window.y0 -= margin;
  window.y1 += margin;
  return window;
}

/// Values of the y ticks, in the data's own unit.
std::vector<double> y_ticks(const Window& window) {
  if (!window.log_scale) return ticks(window.y0, window.y1, 6);
  const double decades = window.y1 - window.y0;
  if (decades < 1.0) return ticks(std::pow(10.0, window.y0), std::pow(10.0, window.y1), 6);
  std::vector<double> values;
  const double step = std::max(1.0, std::ceil(decades / 6.0));
  for (double e = std::ceil(window.y0); e <= window.y1; e += step)
    values.push_back(std::pow(10, e));
  return values;
}

std::string x_tick(double at, const std::string& label) {
  return fmt::format(
      "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", at,
      kHeight - kBottom + 20, escaped(label));
}

std::string axes(const ChartOptions& options, const Window& window) {
  std::string svg;
  for (const double value : y_ticks(window)) {
    const double y = window.y(value);
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"tick\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        kLeft, kWidth - kRight, y, y, kLeft - 8, y + 4, tick_label(value));
  }
  for (size_t i = 0; i < options.x_labels.size(); ++i) {
    svg += x_tick(window.x(static_cast<double>(i)), options.x_labels[i]);
  }
  if (!options.x_labels.empty()) return svg;
  for (const double value : ticks(window.x0, window.x1, 7)) {
    svg += x_tick(window.x(value), tick_label(value));
  }
  return svg;
}

std::string path_of(const Line& line, const Window& window) {
  std::string path, svg;
  for (size_t i = 0; i < line.low.size(); ++i) {
    const double x = window.x(line.points.x[i]);
    svg += fmt::format("<path class=\"line c{}\" d=\"M{:.1f} {:.1f}V{:.1f}\"/>", line.color, x,
                       window.y(line.low[i]), window.y(line.high[i]));
  }
  for (size_t i = 0; i < line.points.x.size() && line.joined; ++i) {
    path += fmt::format("{}{:.1f} {:.1f}", i == 0 ? "M" : "L", window.x(line.points.x[i]),
                        window.y(line.points.y[i]));
  }
  if (line.joined) {
    svg += fmt::format("<path class=\"line c{}{}{}\" d=\"{}\"/>\n", line.color,
                       line.faint ? " faint" : "", line.dashed ? " dashed" : "", path);
  }
  if (line.dots || line.points.x.size() == 1) {
    for (size_t i = 0; i < line.points.x.size(); ++i) {
      svg += fmt::format("<circle class=\"dot c{}{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.2\"/>",
                         line.color, line.faint ? " faint" : "", window.x(line.points.x[i]),
                         window.y(line.points.y[i]));
    }
    svg += '\n';
  }
  return svg;
}

std::string legend(const std::vector<Line>& lines) {
  std::string html;
  int entries = 0;
  for (const Line& line : lines) {
    if (line.faint) continue;
    ++entries;
    html += fmt::format("<span class=\"key\"><i class=\"c{}{}\"></i>{}</span>", line.color,
                        line.dashed ? " dashed" : "", escaped(line.label));
  }
  return entries > 1 ? "<div class=\"legend\">" + html + "</div>" : "";
}

/// What the script needs: where the points are drawn, and their values.
std::string hover_data(const ChartOptions& options, const std::vector<Line>& lines,
                       const Window& window) {
  Config list = Config::list();
  for (const Line& line : lines) {
    if (line.faint) continue;
    Config points = Config::list();
    for (size_t i = 0; i < line.points.x.size(); ++i) {
      Config point = Config::list();
      point.append(std::round(10.0 * window.x(line.points.x[i])) / 10.0);
      point.append(std::round(10.0 * window.y(line.points.y[i])) / 10.0);
      const auto label = static_cast<size_t>(std::max(0.0, std::round(line.points.x[i])));
      if (label < options.x_labels.size()) {
        point.append(options.x_labels[label]);
      } else {
        point.append(line.points.x[i]);
      }
      point.append(std::stod(fmt::format("{:.5g}", line.points.y[i])));
      points.append(point);
    }
    Config entry = Config::map();
    entry.set("label", line.label);
    entry.set("color", line.color);
    entry.set("level", line.dashed);
    entry.set("points", points);
    list.append(entry);
  }
  return list.to_json();
}

/// What is drawn; false: nothing.
bool prepare(std::vector<Line>& lines) {
  for (Line& line : lines) drop_what_is_not_finite(line);
  std::erase_if(lines, [](const Line& line) { return line.points.empty(); });
  for (Line& line : lines) {
    if (line.low.empty()) line.points = thinned(line.points, kMostPoints);
  }
  return !lines.empty();
}

/// Axes and lines. The inner svg clips what lies outside the axes.
std::string picture(const ChartOptions& options, const std::vector<Line>& lines,
                    const Window& window) {
  std::string drawing;
  for (const Line& line : lines) drawing += path_of(line, window);
  const double x = kLeft, y = kTop - 4, width = kWidth - kLeft - kRight + 4;
  const double height = kHeight - kTop - kBottom + 8;
  return fmt::format(
      "{}<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"{} {} {} {}\">\n{}</svg>",
      axes(options, window), x, y, width, height, x, y, width, height, drawing);
}

// The page's look without its variables, which not every viewer of files knows.
constexpr char kFileStyle[] = R"css(
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: #667085; }
.title { font-size: 14px; font-weight: 600; fill: #1d2129; }
.grid { stroke: #e4e7ec; stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.dashed { stroke-dasharray: 6 5; stroke-width: 1.6; stroke-linecap: butt; }
.faint { opacity: 0.28; stroke-width: 1.2; }
.line.c0 { stroke: #2f6fde; } .line.c1 { stroke: #e07b1a; } .line.c2 { stroke: #1a9c6b; }
.line.c3 { stroke: #8b52d6; } .line.c4 { stroke: #d3405a; } .line.c5 { stroke: #0e93b0; }
.line.c6 { stroke: #b0781a; } .line.c7 { stroke: #7b8494; }
.dot.c0 { fill: #2f6fde; } .dot.c1 { fill: #e07b1a; } .dot.c2 { fill: #1a9c6b; }
.dot.c3 { fill: #8b52d6; } .dot.c4 { fill: #d3405a; } .dot.c5 { fill: #0e93b0; }
.dot.c6 { fill: #b0781a; } .dot.c7 { fill: #7b8494; }
)css";

}  // namespace

std::vector<double> ticks(double low, double high, int most) {
  if (!(high > low) || most < 1) return {};
  const double rough = (high - low) / most;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> values;
  const double first = std::ceil(low / step - 1e-9);
  for (double i = first; i * step <= high + 1e-9 * step; i += 1.0) {
    values.push_back(std::abs(i) < 0.5 ? 0.0 : i * step);
  }
  return values;
}

Series smoothed(const Series& raw, int64_t window) {
  const auto count = static_cast<int64_t>(raw.x.size());
  std::vector<double> sums = {0.0};  // of the first i values
  for (const double y : raw.y) sums.push_back(sums.back() + (std::isfinite(y) ? y : 0.0));
  Series result;
  for (int64_t i = 0; i < count; ++i) {
    // Narrower at the ends, so that the average stays centred.
    const int64_t half = std::min({window / 2, i, count - 1 - i});
    const double sum =
        sums[static_cast<size_t>(i + half + 1)] - sums[static_cast<size_t>(i - half)];
    result.add(raw.x[static_cast<size_t>(i)], sum / static_cast<double>(2 * half + 1));
  }
  return result;
}

Series thinned(const Series& series, size_t most) {
  const size_t count = series.x.size();
  if (count <= most || most == 0) return series;
  Series result;
  for (size_t i = 0; i < most; ++i) {
    const size_t begin = i * count / most, end = (i + 1) * count / most;
    double x = 0.0, y = 0.0;
    for (size_t k = begin; k < end; ++k) {
      x += series.x[k];
      y += series.y[k];
    }
    const auto n = static_cast<double>(end - begin);
    result.add(std::round(x / n), y / n);
  }
  return result;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : to_valid_utf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

std::string chart(const ChartOptions& options, std::vector<Line> lines) {
  if (!prepare(lines)) return "";
  const Window window = window_of(options, lines);
  return fmt::format(
      "<figure class=\"chart\" data-lines=\"{}\">\n"
      "<figcaption>{}{}</figcaption>{}\n"
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n{}</svg></figure>\n",
      escaped(hover_data(options, lines, window)), escaped(options.title),
      options.unit.empty() ? "" : fmt::format(" <small>{}</small>", escaped(options.unit)),
      legend(lines), kWidth, kHeight, escaped(options.title), picture(options, lines, window));
}

std::string chart_file(const ChartOptions& options, std::vector<Line> lines) {
  if (!prepare(lines)) return "";
  constexpr double kTitle = 46, kEntry = 17;  // heights of both title lines, of a legend's line
  const auto shown =
      std::count_if(lines.begin(), lines.end(), [](const Line& line) { return !line.faint; });
  const double top = kTitle + kEntry * static_cast<double>(shown);
  std::string head = fmt::format(
      "<text class=\"title\" x=\"12\" y=\"20\">{}</text>\n"
      "<text class=\"tick\" x=\"12\" y=\"39\">{}</text>\n",
      escaped(options.title), escaped(options.unit));
  double y = kTitle;
  for (const Line& line : lines) {
    if (line.faint) continue;
    y += kEntry;
    head += fmt::format(
        "<path class=\"line c{}{}\" d=\"M14 {:.0f}h20\"/><text class=\"tick\" x=\"42\" "
        "y=\"{:.0f}\">{}</text>\n",
        line.color, line.dashed ? " dashed" : "", y - 8, y - 4, escaped(line.label));
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"{}\">\n<style>{}</style>\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"#ffffff\"/>\n{}<g transform=\"translate(0 {:.0f})\">\n{}</g></svg>\n",
      kWidth, kHeight + top, escaped(options.title), kFileStyle, head, top,
      picture(options, lines, window_of(options, lines)));
}

}  // namespace heed::recipes
