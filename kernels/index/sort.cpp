#include "kernels/index/sort.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/copy/copy.h"
#include "kernels/index/by_id.h"
#include "kernels/index/device_index.h"
#include "kernels/index/device_sort.h"

namespace heed::kernels {

DeviceKernel<void(const DeviceSort&)> sort_cuda;

namespace {

// What T is compared as: integers as themselves (an i64 does not fit a double).
template <class T>
using Key = std::conditional_t<std::is_integral_v<T>, int64_t, accumulate_t<T>>;

template <class K>
bool less(K a, K b) {
  if constexpr (std::is_floating_point_v<K>) {
    if (std::isnan(a)) return false;
    if (std::isnan(b)) return true;
  }
  return a < b;
}

template <class K>
struct Entry {
  K key;
  int64_t index;
};

template <class K>
void sort_entries(std::vector<Entry<K>>& entries, bool descending, size_t count) {
  const auto before = [descending](const Entry<K>& a, const Entry<K>& b) {
    const bool ab = less(a.key, b.key), ba = less(b.key, a.key);
    return ab == ba ? a.index < b.index : (descending ? ba : ab);
  };
  const auto end = entries.begin() + static_cast<std::ptrdiff_t>(count);
  if (count < entries.size()) std::nth_element(entries.begin(), end, entries.end(), before);
  std::sort(entries.begin(), end, before);
}

// x is row-major; what the result has room for is sorted.
void sort_on_device(const char* op, const Tensor& x, const Extents& e, bool descending,
                    int64_t count, const Sorted& result) {
  const auto padded = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(e.n)));
  const Shape scratch{e.outer * e.inner, padded};
  const Tensor keys = Tensor::empty(scratch, DType::i64, x.device());
  const Tensor places = Tensor::empty(scratch, DType::i64, x.device());
  int64_t* indices = result.indices.data<int64_t>();
  sort_cuda({op, x, result.indices},
            {x.dtype(), descending, e.outer, e.n, e.inner, count, padded, x.raw(),
             static_cast<uint64_t*>(keys.raw()), places.data<int64_t>(), indices});
  gather_along_cuda({op, x, result.values}, {static_cast<int64_t>(size_of(x.dtype())),
                                             {e.outer, e.n, e.inner, count},
                                             indices,
                                             x.raw(),
                                             result.values.raw()});
}

}  // namespace

Sorted sort_along(const Tensor& x, int dim, bool descending, int64_t count, const char* op) {
  dim = x.shape().dim_index(dim, op);
  const Extents e = split_at(x.shape(), dim);
  if (count < 0) count = e.n;
  HEED_CHECK(count <= e.n, "{}: {} of the {} elements along dimension {} of {}", op, count, e.n,
             dim, x);
  Shape shape = x.shape();
  shape[dim] = count;
  const Sorted result{Tensor::empty(shape, x.dtype(), x.device()),
                      Tensor::empty(shape, DType::i64, x.device())};
  const Tensor dense = contiguous_as(x, x.dtype());
  if (x.device().is_cuda()) {
    if (result.indices.numel() > 0) sort_on_device(op, dense, e, descending, count, result);
    return result;
  }
  require_cpu(x.device(), op);
  dispatch_any(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = dense.data<T>();
    parallel_for(e.outer * e.inner, grain_for(4 * e.n), [&](int64_t begin, int64_t end) {
      std::vector<Entry<Key<T>>> entries(static_cast<size_t>(e.n));
      for (int64_t slice = begin; slice < end; ++slice) {
        const int64_t o = slice / e.inner, i = slice % e.inner;
        const T* first = from + o * e.n * e.inner + i;
        for (int64_t k = 0; k < e.n; ++k) {
          entries[static_cast<size_t>(k)] = {static_cast<Key<T>>(first[k * e.inner]), k};
        }
        sort_entries(entries, descending, static_cast<size_t>(count));
        for (int64_t k = 0; k < count; ++k) {
          const int64_t at = (o * count + k) * e.inner + i;
          const int64_t index = entries[static_cast<size_t>(k)].index;
          result.values.data<T>()[at] = first[index * e.inner];
          result.indices.data<int64_t>()[at] = index;
        }
      }
    });
  });
  return result;
}

Tensor invert_permutation(const Tensor& permutation) {
  const char* op = "invert_permutation";
  HEED_CHECK(permutation.rank() >= 1, "{}: {} has no dimension", op, permutation);
  const int64_t n = permutation.size(-1);
  const std::vector<int64_t> ids = read_index(permutation, n, op);
  const Tensor inverse = Tensor::full(permutation.shape(), -1, DType::i64);
  for (size_t i = 0; i < ids.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i);
    int64_t& to = inverse.data<int64_t>()[at / n * n + ids[i]];
    HEED_CHECK(to < 0, "{}: {} at position {} comes twice", op, ids[i],
               position_of(at, permutation.shape()));
    to = at % n;
  }
  return inverse;
}

Tensor bincount(const Tensor& index, int64_t n) {
  const Tensor counts = Tensor::zeros({n}, DType::i64);
  for (const int64_t id : read_index(index, n, "bincount")) ++counts.data<int64_t>()[id];
  return counts;
}

Tensor histogram(const Tensor& x, int64_t bins, double low, double high) {
  HEED_CHECK(bins > 0 && low < high && std::isfinite(high - low),
             "histogram: {} bins over [{}, {}]", bins, low, high);
  const Tensor counts = Tensor::zeros({bins}, DType::i64);
  int64_t* to = counts.data<int64_t>();
  for (const double value : x.to_vector<double>()) {
    if (!(value >= low && value <= high)) continue;
    const auto bin = static_cast<int64_t>((value - low) / (high - low) * static_cast<double>(bins));
    ++to[std::min(bin, bins - 1)];
  }
  return counts;
}

Unique unique_with_counts(const Tensor& x) {
  require_cpu(x.device(), "unique_with_counts");
  const Tensor flat =
      Tensor::over(contiguous_as(x, x.dtype()).storage(), contiguous_as(x, x.dtype()).offset(),
                   {x.numel()}, {1}, x.dtype());
  const Sorted sorted = sort_along(flat, 0, false, -1, "unique_with_counts");
  Unique result;
  result.inverse = Tensor::empty(x.shape(), DType::i64);
  dispatch_any(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* values = sorted.values.data<T>();
    std::vector<T> kept;
    std::vector<int64_t> counts;
    for (int64_t i = 0; i < x.numel(); ++i) {
      // NaN equals nothing, itself neither
      if (i == 0 || !(values[i] == values[i - 1])) {
        kept.push_back(values[i]);
        counts.push_back(0);
      }
      ++counts.back();
      result.inverse.data<int64_t>()[sorted.indices.data<int64_t>()[i]] =
          static_cast<int64_t>(kept.size()) - 1;
    }
    const int64_t found = static_cast<int64_t>(kept.size());
    result.values = Tensor::empty({found}, x.dtype());
    std::copy(kept.begin(), kept.end(), result.values.data<T>());
    result.counts = Tensor::from(counts, {found});
  });
  return result;
}

Tensor search_sorted(const Tensor& sorted, const Tensor& values, bool right) {
  const char* op = "search_sorted";
  require_cpu(sorted.device(), op);
  require_cpu(values.device(), op);
  HEED_CHECK(sorted.rank() == 1 && sorted.dtype() == values.dtype(),
             "{}: {} in {}, which must be [N] of the same dtype", op, values, sorted);
  const Tensor from = contiguous_as(sorted, sorted.dtype());
  const Tensor wanted = contiguous_as(values, values.dtype());
  const Tensor out = Tensor::empty(values.shape(), DType::i64);
  dispatch_any(sorted.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* first = from.data<T>();
    const T* last = first + from.numel();
    const auto before = [](T a, T b) {
      return less(static_cast<Key<T>>(a), static_cast<Key<T>>(b));
    };
    for (int64_t i = 0; i < wanted.numel(); ++i) {
      const T v = wanted.data<T>()[i];
      const T* at = right ? std::upper_bound(first, last, v, before)
                          : std::lower_bound(first, last, v, before);
      out.data<int64_t>()[i] = at - first;
    }
  });
  return out;
}

}  // namespace heed::kernels
