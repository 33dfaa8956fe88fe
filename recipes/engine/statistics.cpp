#include "recipes/engine/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace heed::recipes {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The continued fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8) by Lentz's
/// method; converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300, kEnough = 1e-15;
  constexpr int kMostTerms = 500;
  const auto away_from_zero = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1.0;
  double d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
  double fraction = d;
  for (int m = 1; m <= kMostTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m));
    d = 1.0 / away_from_zero(1.0 + even * d);
    c = away_from_zero(1.0 + even / c);
    fraction *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0));
    d = 1.0 / away_from_zero(1.0 + odd * d);
    c = away_from_zero(1.0 + odd / c);
    fraction *= c * d;
    if (std::abs(c * d - 1.0) < kEnough) break;
  }
  return fraction;
}

/// The regularised incomplete beta function I_x(a, b).
double incomplete_beta(double a, double b, double x) {
  if (x <= 0.0) return 0.0;
  if (x >= 1.0) return 1.0;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1.0) / (a + b + 2.0)) return front * beta_fraction(a, b, x) / a;
  return 1.0 - front * beta_fraction(b, a, 1.0 - x) / b;
}

Estimate around(double value, double standard_error, double degrees, double confidence) {
  if (standard_error == 0.0) return {value, value, value};
  const double half = standard_error * student_quantile(0.5 + 0.5 * confidence, degrees);
  return {value, value - half, value + half};
}

}  // namespace

Spread spread_of(const std::vector<double>& values) {
  Spread spread;
  spread.count = static_cast<int64_t>(values.size());
  if (values.empty()) return spread;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) spread.mean += value / n;
  double squares = 0.0;
  for (const double value : values) squares += (value - spread.mean) * (value - spread.mean);
  if (values.size() > 1) spread.deviation = std::sqrt(squares / (n - 1.0));
  return spread;
}

double quantile(std::vector<double> values, double fraction) {
  HEED_CHECK(!values.empty() && fraction >= 0.0 && fraction <= 1.0, "quantile: {} of {} values",
             fraction, values.size());
  std::sort(values.begin(), values.end());
  const double position = fraction * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(position);
  const auto above = std::min(below + 1, values.size() - 1);
  return values[below] + (position - static_cast<double>(below)) * (values[above] - values[below]);
}

Estimate mean_estimate(const std::vector<double>& values, double confidence) {
  const Spread spread = spread_of(values);
  if (spread.count < 2) return {spread.mean, -kInfinity, kInfinity};
  const auto n = static_cast<double>(spread.count);
  return around(spread.mean, spread.deviation / std::sqrt(n), n - 1.0, confidence);
}

Estimate welch_difference(const std::vector<double>& a, const std::vector<double>& b,
                          double confidence) {
  const Spread sa = spread_of(a), sb = spread_of(b);
  const double difference = sa.mean - sb.mean;
  if (sa.count < 2 || sb.count < 2) return {difference, -kInfinity, kInfinity};
  const auto na = static_cast<double>(sa.count), nb = static_cast<double>(sb.count);
  const double va = sa.deviation * sa.deviation / na, vb = sb.deviation * sb.deviation / nb;
  if (va + vb == 0.0) return {difference, difference, difference};
  const double degrees = (va + vb) * (va + vb) / (va * va / (na - 1.0) + vb * vb / (nb - 1.0));
  return around(difference, std::sqrt(va + vb), degrees, confidence);
}

Estimate paired_difference(const std::vector<double>& a, const std::vector<double>& b,
                           double confidence) {
  HEED_CHECK(a.size() == b.size(), "paired difference: {} values against {}", a.size(), b.size());
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return mean_estimate(differences, confidence);
}

double student_cdf(double t, double degrees) {
  HEED_CHECK(degrees > 0.0, "student_cdf: needs degrees of freedom above 0, got {}", degrees);
  const double tail = 0.5 * incomplete_beta(0.5 * degrees, 0.5, degrees / (degrees + t * t));
  return t < 0.0 ? tail : 1.0 - tail;
}

double student_quantile(double probability, double degrees) {
  HEED_CHECK(probability > 0.0 && probability < 1.0,
             "student_quantile: needs a probability between 0 and 1, got {}", probability);
  if (probability < 0.5) return -student_quantile(1.0 - probability, degrees);
  double low = 0.0, high = 1.0;
  while (student_cdf(high, degrees) < probability) high *= 2.0;
  for (;;) {
    const double middle = 0.5 * (low + high);
    if (middle <= low || middle >= high) return middle;
    (student_cdf(middle, degrees) < probability ? low : high) = middle;
  }
}

}  // namespace heed::recipes
