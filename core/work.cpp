#include "core/work.h"

#include <atomic>

namespace heed {
namespace {
std::atomic<double> total{0.0};
}  // namespace

void count_flops(double flops) { total.fetch_add(flops, std::memory_order_relaxed); }
double counted_flops() { return total.load(std::memory_order_relaxed); }

}  // namespace heed
