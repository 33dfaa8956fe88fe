#include "distributed/gradient_reducer.h"

#include <algorithm>
#include <utility>

#include "core/views.h"
#include "kernels/copy/copy.h"

namespace heed {

namespace {

std::vector<GradientReducer::Parameter> held_by(Communicator& ranks,
                                                const std::vector<Tensor>& tensors) {
  std::vector<GradientReducer::Parameter> parameters;
  for (const Tensor& tensor : tensors) parameters.push_back({tensor, &ranks});
  return parameters;
}

}  // namespace

GradientReducer::GradientReducer(Communicator& ranks, const std::vector<Tensor>& parameters,
                                 Options options)
    : GradientReducer(held_by(ranks, parameters), options) {}

GradientReducer::GradientReducer(std::vector<Parameter> parameters, Options options)
    : parameters_(std::move(parameters)),
      bucket_of_(parameters_.size()),
      ready_(parameters_.size()) {
  for (size_t i = parameters_.size(); i-- > 0;) {
    const auto& [tensor, ranks] = parameters_[i];
    HEED_CHECK(requires_grad(tensor), "gradient reducer: {} wants no gradient", tensor);
    if (ranks->size() == 1) continue;
    index_[tensor.autograd().get()] = i;
    const int64_t width = size_of(tensor.dtype());
    // The last bucket of the same ranks and dtype.
    auto bucket = std::find_if(buckets_.rbegin(), buckets_.rend(), [&](const Bucket& b) {
      return b.ranks == ranks && parameters_[b.parameters[0]].tensor.dtype() == tensor.dtype();
    });
    if (bucket == buckets_.rend() ||
        (bucket->elements + tensor.numel()) * width > options.bucket_bytes) {
      buckets_.emplace_back();
      bucket = buckets_.rbegin();
      bucket->ranks = ranks;
    }
    bucket->parameters.push_back(i);
    bucket->elements += tensor.numel();
  }
  // In the order in which the backward pass completes them: by the parameter registered first.
  std::stable_sort(buckets_.begin(), buckets_.end(), [](const Bucket& a, const Bucket& b) {
    return a.parameters.back() > b.parameters.back();
  });
  for (size_t k = 0; k < buckets_.size(); ++k) {
    for (const size_t i : buckets_[k].parameters) bucket_of_[i] = k;
  }
}

GradientReducer::~GradientReducer() {
  if (active_) set_grad_ready_hook({});
}

void GradientReducer::begin() {
  if (buckets_.empty()) return;
  ready_.assign(parameters_.size(), false);
  for (Bucket& bucket : buckets_) bucket.waiting = bucket.parameters.size();
  launched_ = 0;
  active_ = true;
  set_grad_ready_hook([this](const Tensor& leaf) { ready(leaf); });
}

void GradientReducer::ready(const Tensor& leaf) {
  const auto found = index_.find(leaf.autograd().get());
  if (found == index_.end() || ready_[found->second]) return;
  ready_[found->second] = true;
  --buckets_[bucket_of_[found->second]].waiting;
  while (launched_ < buckets_.size() && buckets_[launched_].waiting == 0) {
    launch(buckets_[launched_++]);
  }
}

// Packs the gradients, lets go of the originals and sends the bucket on its way.
void GradientReducer::launch(Bucket& bucket) {
  const Tensor& first = parameters_[bucket.parameters[0]].tensor;
  const auto count = static_cast<int64_t>(bucket.parameters.size());
  bucket.flat = Tensor::empty({bucket.elements + count}, first.dtype(), first.device());
  int64_t at = 0;
  for (int64_t k = 0; k < count; ++k) {
    const Tensor& parameter = parameters_[bucket.parameters[static_cast<size_t>(k)]].tensor;
    const Tensor gradient = grad(parameter);
    const Tensor place = views::slice(bucket.flat, 0, at, at + parameter.numel());
    if (gradient.defined()) {
      kernels::copy(views::reshape(gradient, {parameter.numel()}), place);
      clear_grad(parameter);
    } else {
      kernels::fill(place, 0.0);
    }
    kernels::fill(views::slice(bucket.flat, 0, bucket.elements + k, bucket.elements + k + 1),
                  gradient.defined() ? 1.0 : 0.0);
    at += parameter.numel();
  }
  bucket.work = bucket.ranks->start_all_reduce(bucket.flat);
}

void GradientReducer::unpack(Bucket& bucket) {
  bucket.work.wait();
  const auto count = static_cast<int64_t>(bucket.parameters.size());
  const std::vector<double> users =
      views::slice(bucket.flat, 0, bucket.elements, bucket.elements + count).to_vector<double>();
  int64_t at = 0;
  for (int64_t k = 0; k < count; ++k) {
    const Tensor& parameter = parameters_[bucket.parameters[static_cast<size_t>(k)]].tensor;
    if (users[static_cast<size_t>(k)] > 0.0) {
      set_grad(parameter, views::reshape(views::slice(bucket.flat, 0, at, at + parameter.numel()),
                                         parameter.shape()));
    }
    at += parameter.numel();
  }
  bucket.flat = Tensor();
}

void GradientReducer::finish() {
  if (!std::exchange(active_, false)) return;
  set_grad_ready_hook({});
  // What the pass did not reach counts as final now.
  while (launched_ < buckets_.size()) launch(buckets_[launched_++]);
  for (Bucket& bucket : buckets_) unpack(bucket);
}

}  // namespace heed
