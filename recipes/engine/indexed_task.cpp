#include "recipes/engine/indexed_task.h"

#include <cmath>
#include <utility>

#include "core/allocator.h"
#include "nn/device_of.h"
#include "recipes/engine/batch_device.h"

namespace heed::recipes {
namespace {

/// The smallest divisor of n above 1; n itself for 1.
int64_t smallest_divisor(int64_t n) {
  for (int64_t d = 2; d * d <= n; ++d) {
    if (n % d == 0) return d;
  }
  return n;
}

}  // namespace

void IndexedTask::start_batches(BatchMaker make, int workers) {
  make_ = std::move(make);
  workers_ = workers;
}

const IndexedTask::BatchMaker& IndexedTask::maker() const {
  HEED_CHECK(make_, "task {}: it was not built for training", name());
  return make_;
}

void IndexedTask::make_ahead(int64_t start) {
  const int64_t parts = recipe_.train.accumulation;
  prefetcher_ = std::make_unique<data::Prefetcher<Batch>>(
      [make = maker(), parts, own = part_](int64_t index) {
        return make(index / parts, {index % parts * own.world + own.rank, parts * own.world});
      },
      data::PrefetchOptions{.start = start, .threads = workers_});
}

Batch IndexedTask::next_batch() {
  if (!prefetcher_) make_ahead(0);
  return on_device(prefetcher_->next(), nn::device_of(module()));
}

Config IndexedTask::data_position() {
  Config position = Config::map();
  position.set("step", prefetcher_ ? prefetcher_->position() / recipe_.train.accumulation : 0);
  return position;
}

void IndexedTask::seek_data(const Config& position) {
  const Config* step = position.find("step");
  make_ahead(step == nullptr ? 0 : step->as_integer() * recipe_.train.accumulation);
}

double IndexedTask::flops_per_step() {
  constexpr double kForwardAndBackward = 3.0;
  return kForwardAndBackward * flops_per_row() * static_cast<double>(rows_per_step());
}

int64_t IndexedTask::activation_bytes() {
  const int64_t rows = rows_per_step();
  const auto kept = [&](int64_t few) {
    const Batch batch = maker()(0, {0, rows / few});
    return kept_bytes([&] { return loss(batch); });
  };
  const int64_t few = smallest_divisor(rows);
  return few == 1 ? kept(1) : on_line(1, kept(1), few, kept(few), recipe_.train.batch_size);
}

int64_t kept_bytes(const std::function<Tensor()>& forward) {
  const int64_t before = allocator::stats().in_use_bytes;
  const Tensor result = forward();
  return allocator::stats().in_use_bytes - before;
}

int64_t on_line(int64_t x0, int64_t y0, int64_t x1, int64_t y1, int64_t x) {
  const double slope = static_cast<double>(y1 - y0) / static_cast<double>(x1 - x0);
  return y0 + std::llround(slope * static_cast<double>(x - x0));
}

}  // namespace heed::recipes
