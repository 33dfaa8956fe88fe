#include "distributed/sharded_reducer.h"

#include <utility>

#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/elementwise/accumulate.h"

namespace heed {
namespace {

/// Buckets under way at once: one is being sent while the next one fills; more would keep their
/// memory.
constexpr size_t kUnderWay = 2;

}  // namespace

ShardedReducer::ShardedReducer(const ShardLayout& layout, Mesh& mesh)
    : layout_(layout),
      mesh_(mesh),
      states_(layout.buckets().size()),
      ready_(layout.parameters().size()) {
  for (size_t i = 0; i < layout.parameters().size(); ++i) {
    const Tensor& tensor = layout.parameters()[i].tensor;
    HEED_CHECK(requires_grad(tensor), "sharded reducer: {} wants no gradient", tensor);
    index_[tensor.autograd().get()] = i;
  }
}

ShardedReducer::~ShardedReducer() {
  if (active_) set_grad_ready_hook({});
}

void ShardedReducer::begin() {
  ready_.assign(ready_.size(), false);
  for (size_t b = 0; b < states_.size(); ++b) {
    states_[b].waiting = layout_.buckets()[b].parameters.size();
  }
  launched_ = settled_ = 0;
  active_ = true;
  set_grad_ready_hook([this](const Tensor& leaf) { ready(leaf); });
}

void ShardedReducer::ready(const Tensor& leaf) {
  const auto found = index_.find(leaf.autograd().get());
  if (found == index_.end() || ready_[found->second]) return;
  ready_[found->second] = true;
  --states_[layout_.bucket_of(found->second)].waiting;
  while (launched_ < states_.size() && states_[launched_].waiting == 0) launch(launched_++);
}

// Packs the gradients, lets go of the originals and sends the bucket on its way. Each rank's chunk
// is followed by the numbers of users, so that they are summed with it.
void ShardedReducer::launch(size_t b) {
  while (launched_ - settled_ > kUnderWay) settle(settled_++);
  const ShardLayout::Bucket& bucket = layout_.buckets()[b];
  const int64_t ranks = layout_.ranks();
  const auto count = static_cast<int64_t>(bucket.parameters.size());
  const int64_t width = bucket.chunk + count;
  State& state = states_[b];
  state.flat = Tensor::zeros({ranks * width}, bucket.dtype, layout_.device_of(bucket));
  for (int64_t k = 0; k < count; ++k) {
    const size_t i = bucket.parameters[static_cast<size_t>(k)];
    const Tensor& parameter = layout_.parameters()[i].tensor;
    const Tensor gradient = grad(parameter);
    if (!gradient.defined()) continue;
    const Tensor row_major = kernels::contiguous_as(gradient, bucket.dtype);
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const int64_t chunk = rank * width;
      const ElementRange held = layout_.held(i, rank);
      if (held.size() > 0) {
        const int64_t at = chunk + layout_.place_in_chunk(i, rank);
        kernels::copy(flat_range(row_major, held),
                      views::slice(state.flat, 0, at, at + held.size()));
      }
      const int64_t users = chunk + bucket.chunk + k;
      kernels::fill(views::slice(state.flat, 0, users, users + 1), 1.0);
    }
    clear_grad(parameter);
  }
  state.received = Tensor::empty({width}, bucket.dtype, layout_.device_of(bucket));
  state.work = mesh_.data().start_reduce_scatter(state.flat, state.received);
}

void ShardedReducer::settle(size_t b) {
  State& state = states_[b];
  state.work.wait();
  state.flat = Tensor();
}

void ShardedReducer::finish() {
  if (!std::exchange(active_, false)) return;
  set_grad_ready_hook({});
  // What the pass did not reach counts as final now.
  while (launched_ < states_.size()) launch(launched_++);
  while (settled_ < states_.size()) settle(settled_++);
  for (size_t b = 0; b < states_.size(); ++b) {
    State& state = states_[b];
    if (state.sum.defined()) {
      kernels::add_inplace(state.sum, state.received);
    } else {
      state.sum = state.received;
    }
    state.received = Tensor();
  }
}

std::vector<Tensor> ShardedReducer::take() {
  std::vector<Tensor> shares(layout_.parameters().size());
  const int64_t rank = mesh_.place().data;
  for (size_t b = 0; b < states_.size(); ++b) {
    const ShardLayout::Bucket& bucket = layout_.buckets()[b];
    const Tensor sum = std::exchange(states_[b].sum, Tensor());
    if (!sum.defined()) continue;
    if (bucket.copies.pipeline) mesh_.pipeline().all_reduce(sum);
    if (bucket.copies.sequence) mesh_.sequence().all_reduce(sum);
    if (bucket.copies.tensor) mesh_.tensor().all_reduce(sum);
    const auto count = static_cast<int64_t>(bucket.parameters.size());
    const std::vector<double> users =
        views::slice(sum, 0, bucket.chunk, bucket.chunk + count).to_vector<double>();
    for (size_t k = 0; k < bucket.parameters.size(); ++k) {
      const size_t i = bucket.parameters[k];
      const ElementRange held = layout_.held(i, rank);
      if (users[k] == 0.0 || held.size() == 0) continue;
      const int64_t at = layout_.place_in_chunk(i, rank);
      shares[i] = views::slice(sum, 0, at, at + held.size());
    }
  }
  return shares;
}

}  // namespace heed
