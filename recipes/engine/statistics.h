// Means, spreads and confidence intervals of a few measurements.
#pragma once

#include <cstdint>
#include <vector>

namespace heed::recipes {

/// Mean and standard deviation (n - 1 in the divisor; 0 for one value) of some values.
struct Spread {
  int64_t count = 0;
  double mean = 0.0;
  double deviation = 0.0;
};
Spread spread_of(const std::vector<double>& values);

/// The value at a fraction (0 ... 1) of the sorted values, between two of them in proportion: 0.5
/// is the median. At least one value.
double quantile(std::vector<double> values, double fraction);

/// An estimate with its confidence interval. One that cannot be told (fewer than two values) is
/// infinitely wide.
struct Estimate {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// Mean of the values by Student's t.
Estimate mean_estimate(const std::vector<double>& values, double confidence = 0.95);

/// mean(a) - mean(b) of independent samples whose variances may differ: Welch's interval (B. L.
/// Welch, "The generalization of 'Student's' problem when several different population variances
/// are involved", Biometrika 34, 1947), the degrees of freedom by Satterthwaite's formula.
Estimate welch_difference(const std::vector<double>& a, const std::vector<double>& b,
                          double confidence = 0.95);

/// mean(a - b) of pairs, by Student's t; the samples must be of one length.
Estimate paired_difference(const std::vector<double>& a, const std::vector<double>& b,
                           double confidence = 0.95);

/// P(T <= t) of Student's distribution with `degrees` > 0 degrees of freedom (any real number).
double student_cdf(double t, double degrees);
/// The t with student_cdf(t) = probability, 0 < probability < 1.
double student_quantile(double probability, double degrees);

}  // namespace heed::recipes
