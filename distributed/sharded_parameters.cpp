#include "distributed/sharded_parameters.h"

#include <utility>

#include "autograd/tape.h"
#include "core/device_runtime.h"
#include "core/storage_memory.h"
#include "core/views.h"
#include "kernels/copy/copy.h"

namespace heed {
namespace {

/// Buckets of a gather() under way at once.
constexpr size_t kUnderWay = 2;

void copy_bytes(const Tensor& from, const Tensor& to) {
  heed::copy_bytes(to.device(), to.raw(), from.device(), from.raw(),
                   static_cast<size_t>(from.bytes()));
}

}  // namespace

ShardedParameters::ShardedParameters(Sharding sharding,
                                     std::vector<ShardLayout::Parameter> parameters, Mesh& mesh,
                                     Communicator& gathers, int64_t bucket_bytes)
    : sharding_(sharding),
      layout_(std::move(parameters), mesh.shape().data,
              sharding == Sharding::parameters ? 0 : bucket_bytes),
      rank_(mesh.place().data),
      gathers_(gathers),
      chunks_(layout_.buckets().size()),
      shares_(layout_.parameters().size()),
      fetches_(layout_.buckets().size()),
      whole_(layout_.buckets().size(), true) {
  HEED_CHECK(sharding != Sharding::none, "sharded parameters: nothing to share");
  HEED_CHECK(gathers.size() == mesh.data().size() && gathers.rank() == mesh.data().rank(),
             "sharded parameters: a communicator of other ranks than the data axis'");
  for (size_t i = 0; i < shares_.size(); ++i) {
    const Tensor& parameter = layout_.parameters()[i].tensor;
    HEED_CHECK(parameter.is_contiguous(), "sharded parameters: {} is not row-major", parameter);
    const ElementRange held = layout_.held(i, rank_);
    if (held.size() == 0) continue;
    shares_[i] = flat_range(parameter, held);
    if (keeps_shares_alone()) {
      const size_t b = layout_.bucket_of(i);
      const ShardLayout::Bucket& bucket = layout_.buckets()[b];
      if (!chunks_[b].defined()) {
        chunks_[b] = Tensor::zeros({bucket.chunk}, bucket.dtype, layout_.device_of(bucket));
      }
      const int64_t at = layout_.place_in_chunk(i, rank_);
      const Tensor own = views::slice(chunks_[b], 0, at, at + held.size());
      copy_bytes(shares_[i], own);
      shares_[i] = own;
    }
    require_grad(shares_[i]);
  }
  release();
}

ShardedParameters::~ShardedParameters() {
  // Whoever uses the parameters after this finds memory behind them.
  for (const ShardLayout::Parameter& parameter : layout_.parameters()) {
    allocator::restore(*parameter.tensor.storage());
  }
}

void ShardedParameters::start(size_t b) {
  const ShardLayout::Bucket& bucket = layout_.buckets()[b];
  Tensor own = chunks_[b];
  if (!own.defined()) {
    own = Tensor::zeros({bucket.chunk}, bucket.dtype, layout_.device_of(bucket));
    for (const size_t i : bucket.parameters) {
      if (!shares_[i].defined()) continue;
      const int64_t at = layout_.place_in_chunk(i, rank_);
      copy_bytes(shares_[i], views::slice(own, 0, at, at + shares_[i].numel()));
    }
  }
  Fetch& fetch = fetches_[b];
  fetch.flat =
      Tensor::empty({layout_.ranks() * bucket.chunk}, bucket.dtype, layout_.device_of(bucket));
  fetch.work = gathers_.start_all_gather(own, fetch.flat);
  fetch.under_way = true;
}

void ShardedParameters::finish(size_t b) {
  const ShardLayout::Bucket& bucket = layout_.buckets()[b];
  Fetch& fetch = fetches_[b];
  fetch.work.wait();
  for (size_t k = 0; k < bucket.parameters.size(); ++k) {
    const Tensor& parameter = layout_.parameters()[bucket.parameters[k]].tensor;
    allocator::restore(*parameter.storage());
    const Tensor values =
        flat_range(fetch.flat, {bucket.offsets[k], bucket.offsets[k] + parameter.numel()});
    copy_bytes(values, parameter);
    // Values that come back are no change: what the tape saved stays good.
    if (!keeps_shares_alone()) parameter.bump_version();
  }
  fetch.flat = Tensor();
  fetch.under_way = false;
  whole_[b] = true;
}

void ShardedParameters::gather() {
  all_stay_ = true;
  size_t finished = 0;
  for (size_t b = 0; b < fetches_.size(); ++b) {
    if (!fetches_[b].under_way) start(b);
    if (b + 1 - finished > kUnderWay) finish(finished++);
  }
  while (finished < fetches_.size()) finish(finished++);
}

void ShardedParameters::release() {
  all_stay_ = false;
  for (const ShardLayout::Bucket& bucket : layout_.buckets()) release(bucket.unit);
}

void ShardedParameters::require(int64_t unit) {
  for (const bool wait : {false, true}) {
    for (size_t b = 0; b < fetches_.size(); ++b) {
      if (layout_.buckets()[b].unit != unit || whole_[b]) continue;
      if (!wait && !fetches_[b].under_way) start(b);
      if (wait) finish(b);
    }
  }
}

void ShardedParameters::prefetch(int64_t unit) {
  for (size_t b = 0; b < fetches_.size(); ++b) {
    if (layout_.buckets()[b].unit == unit && !whole_[b] && !fetches_[b].under_way) start(b);
  }
}

void ShardedParameters::release(int64_t unit) {
  if (!keeps_shares_alone() || all_stay_) return;
  for (size_t b = 0; b < fetches_.size(); ++b) {
    if (layout_.buckets()[b].unit != unit) continue;
    if (fetches_[b].under_way) fetches_[b] = Fetch();  // what nobody came to want; waits for it
    if (!whole_[b]) continue;
    for (const size_t i : layout_.buckets()[b].parameters) {
      allocator::release(*layout_.parameters()[i].tensor.storage());
    }
    whole_[b] = false;
  }
}

}  // namespace heed
