#include "kernels/fft/plan.h"

#include <bit>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>

#include "kernels/fft/lines.h"

namespace heed::kernels {
namespace {

// Eights first, since each stage is a pass over the buffers; two fours take the place of an eight
// and a two.
std::vector<int64_t> factors_of(int64_t n) {
  const int twos = std::countr_zero(static_cast<uint64_t>(n));
  const int eights = twos % 3 == 1 ? twos / 3 - 1 : twos / 3;
  std::vector<int64_t> factors;
  for (int i = 0; i < eights; ++i, n /= 8) factors.push_back(8);
  for (const int64_t candidate : {4, 2, 3, 5}) {
    for (; n % candidate == 0; n /= candidate) factors.push_back(candidate);
  }
  for (int64_t p = 7; n > 1; p += 2) {
    if (p * p > n) p = n;
    for (; n % p == 0; n /= p) factors.push_back(p);
  }
  return factors;
}

}  // namespace

FftPlan::FftPlan(int64_t length) : n(length), factors(factors_of(length)) {
  const double step = 2.0 * std::numbers::pi / static_cast<double>(n);
  for (int64_t k = 0; k < n; ++k) {
    root_re.push_back(std::cos(step * static_cast<double>(k)));
    root_im.push_back(-std::sin(step * static_cast<double>(k)));
  }
  root_re_f32.assign(root_re.begin(), root_re.end());
  root_im_f32.assign(root_im.begin(), root_im.end());
  if (factors.empty() || factors.back() <= kLargestRadix) return;
  factors.clear();
  inner = std::make_unique<FftPlan>(
      static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(2 * n - 1))));
  for (int64_t k = 0; k < n; ++k) {
    const auto square = static_cast<double>(k * k % (2 * n));  // the angle's period is 2 n
    const double angle = std::numbers::pi * square / static_cast<double>(n);
    chirp_re.push_back(std::cos(angle));
    chirp_im.push_back(-std::sin(angle));
  }
  // One line of conj(c), wrapped round; its transform takes all lanes, of which the first is kept.
  FftLines<double> lines(*inner);
  lines.clear();
  for (int64_t k = 0; k < n; ++k) {
    for (const int64_t at : {k, (inner->n - k) % inner->n}) {
      lines.re(at)[0] = chirp_re[static_cast<size_t>(k)];
      lines.im(at)[0] = -chirp_im[static_cast<size_t>(k)];
    }
  }
  lines.transform();
  for (int64_t k = 0; k < inner->n; ++k) {
    filter_re.push_back(lines.re(k)[0]);
    filter_im.push_back(lines.im(k)[0]);
  }
}

std::shared_ptr<const FftPlan> fft_plan(int64_t n) {
  static std::mutex mutex;
  static std::map<int64_t, std::shared_ptr<const FftPlan>> plans;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const FftPlan>& plan = plans[n];
  if (!plan) plan = std::make_shared<const FftPlan>(n);
  return plan;
}

}  // namespace heed::kernels
