#include "recipes/engine/measures/confusion.h"

#include <cmath>

namespace heed::recipes {

Confusion::Confusion(int64_t classes) : counts_(Tensor::zeros({classes, classes}, DType::i64)) {}

void Confusion::add(int64_t truth, int64_t predicted) {
  HEED_CHECK(truth >= 0 && truth < classes() && predicted >= 0 && predicted < classes(),
             "confusion: class {} predicted as {}, of {} classes", truth, predicted, classes());
  ++counts_.data<int64_t>()[truth * classes() + predicted];
}

int64_t Confusion::count(int64_t truth, int64_t predicted) const {
  return counts_.data<int64_t>()[truth * classes() + predicted];
}

int64_t Confusion::total() const {
  int64_t sum = 0;
  for (int64_t truth = 0; truth < classes(); ++truth) {
    for (int64_t predicted = 0; predicted < classes(); ++predicted) sum += count(truth, predicted);
  }
  return sum;
}

double Confusion::accuracy() const {
  int64_t right = 0;
  for (int64_t c = 0; c < classes(); ++c) right += count(c, c);
  return static_cast<double>(right) / static_cast<double>(total());
}

Confusion::Sides Confusion::sides(int64_t of_class) const {
  int64_t either = 0;
  for (int64_t c = 0; c < classes(); ++c) either += count(of_class, c) + count(c, of_class);
  return {static_cast<double>(count(of_class, of_class)), static_cast<double>(either)};
}

double Confusion::f1(int64_t of_class) const {
  const auto [both, either] = sides(of_class);
  return 2.0 * both / either;
}

double Confusion::iou(int64_t of_class) const {
  const auto [both, either] = sides(of_class);
  return both / (either - both);
}

double Confusion::mean_over_occurring(double (Confusion::*measure)(int64_t) const) const {
  double sum = 0.0;
  int64_t occurring = 0;
  for (int64_t c = 0; c < classes(); ++c) {
    const double value = (this->*measure)(c);
    if (std::isnan(value)) continue;
    sum += value;
    ++occurring;
  }
  return sum / static_cast<double>(occurring);
}

double Confusion::macro_f1() const { return mean_over_occurring(&Confusion::f1); }

double Confusion::mean_iou() const { return mean_over_occurring(&Confusion::iou); }

}  // namespace heed::recipes
