#include "distributed/shard_layout.h"

#include <algorithm>
#include <tuple>

#include "core/views.h"

namespace heed {
namespace {

auto as_tuple(const MeshAxes& axes) {
  return std::tuple(axes.data, axes.pipeline, axes.sequence, axes.tensor);
}

}  // namespace

const std::vector<std::string>& sharding_names() {
  static const std::vector<std::string> names = {"none", "optimizer", "gradients", "parameters"};
  return names;
}

Sharding sharding_from_name(const std::string& name) {
  const auto& names = sharding_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    fail_request("there is no sharding '{}'{}", name, did_you_mean(name, names));
  }
  return static_cast<Sharding>(found - names.begin());
}

ShardLayout::ShardLayout(std::vector<Parameter> parameters, int64_t ranks, int64_t bucket_bytes)
    : parameters_(std::move(parameters)),
      ranks_(ranks),
      bucket_of_(parameters_.size()),
      offset_of_(parameters_.size()) {
  std::vector<size_t> order;
  for (size_t i = parameters_.size(); i-- > 0;) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [this](size_t a, size_t b) {
    return parameters_[a].unit > parameters_[b].unit;
  });
  for (const size_t i : order) {
    const auto& [name, tensor, copies, unit] = parameters_[i];
    const int64_t width = size_of(tensor.dtype());
    // The last bucket of its kind.
    auto bucket = std::find_if(buckets_.rbegin(), buckets_.rend(), [&](const Bucket& b) {
      return b.unit == unit && b.dtype == tensor.dtype() && as_tuple(b.copies) == as_tuple(copies);
    });
    if (bucket == buckets_.rend() ||
        (bucket_bytes > 0 && (bucket->elements + tensor.numel()) * width > bucket_bytes)) {
      buckets_.emplace_back();
      bucket = buckets_.rbegin();
      bucket->dtype = tensor.dtype();
      bucket->copies = copies;
      bucket->unit = unit;
    }
    bucket->parameters.push_back(i);
    bucket->offsets.push_back(bucket->elements);
    offset_of_[i] = bucket->elements;
    bucket->elements += tensor.numel();
  }
  // In the order in which the backward pass completes them: by the parameter registered first.
  std::stable_sort(buckets_.begin(), buckets_.end(), [](const Bucket& a, const Bucket& b) {
    return a.unit != b.unit ? a.unit > b.unit : a.parameters.back() > b.parameters.back();
  });
  for (size_t k = 0; k < buckets_.size(); ++k) {
    buckets_[k].chunk = (buckets_[k].elements + ranks - 1) / ranks;
    for (const size_t i : buckets_[k].parameters) bucket_of_[i] = k;
  }
}

ElementRange ShardLayout::held(size_t parameter, int64_t rank) const {
  const int64_t chunk = buckets_[bucket_of_[parameter]].chunk;
  const int64_t offset = offset_of_[parameter], numel = parameters_[parameter].tensor.numel();
  const int64_t begin = std::clamp<int64_t>(rank * chunk - offset, 0, numel);
  const int64_t end = std::clamp<int64_t>((rank + 1) * chunk - offset, 0, numel);
  return {begin, end};
}

int64_t ShardLayout::place_in_chunk(size_t parameter, int64_t rank) const {
  const int64_t chunk = buckets_[bucket_of_[parameter]].chunk;
  return offset_of_[parameter] + held(parameter, rank).begin - rank * chunk;
}

Tensor flat_range(const Tensor& tensor, ElementRange range) {
  return views::slice(views::reshape(tensor.detach(), {tensor.numel()}), 0, range.begin, range.end);
}

}  // namespace heed
