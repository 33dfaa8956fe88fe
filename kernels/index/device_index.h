// What index.cu works on: x seen as [outer, n, inner]; ids are checked, [count], on the device.
#pragma once

#include "core/element.h"
#include "kernels/device_kernel.h"

namespace heed::kernels {

struct IndexExtents {
  int64_t outer, n, inner, count;
};

/// out[o, k, i] = x[o, ids[k], i]; between equal types elements are words of 1 to 8 bytes.
struct TakeRows {
  DType from, to;
  int64_t size;  ///< of an element of x
  IndexExtents e;
  const int64_t* ids;
  const void* x;
  void* out;
};
extern DeviceKernel<void(const TakeRows&)> take_cuda;

/// sum[o, n, i] = sum of dy[o, k, i] over k = order[start[n]] .. order[start[n + 1]], in order.
struct AddRows {
  DType from, to;  ///< `to` is f32 or f64
  IndexExtents e;
  const int64_t *start, *order;
  const void* dy;
  void* sum;
};
extern DeviceKernel<void(const AddRows&)> take_backward_cuda;

/// out[o, k, i] = x[o, ids[o, k, i], i].
struct GatherAlong {
  int64_t size;
  IndexExtents e;
  const int64_t* ids;  ///< [outer, count, inner]
  const void* x;
  void* out;
};
extern DeviceKernel<void(const GatherAlong&)> gather_along_cuda;

/// sum[o, ids[o, k, i], i] += values[o, k, i] in order of k.
struct ScatterAlong {
  DType from, to;  ///< `to` is f32 or f64
  IndexExtents e;
  const int64_t* ids;  ///< [outer, count, inner]
  const void* values;
  void* sum;
};
extern DeviceKernel<void(const ScatterAlong&)> scatter_along_cuda;

/// out[o, n, i] = last[n] < 0 ? x[o, n, i] : values[o, last[n], i].
struct PutRows {
  int64_t size;
  IndexExtents e;
  const int64_t* last;  ///< [n]
  const void *x, *values;
  void* out;
};
extern DeviceKernel<void(const PutRows&)> put_rows_cuda;

/// Of each segment s and i < width the largest x[k, i], k = order[start[s]] .. order[start[s + 1]],
/// and its k: the first of equals, the first NaN; `empty` and -1 where there is none.
struct SegmentExtremes {
  DType dtype;
  int64_t segments, width;
  double empty;
  const int64_t *start, *order;
  const void* x;
  void* values;
  int64_t* rows;
};
extern DeviceKernel<void(const SegmentExtremes&)> segment_max_cuda;

/// dx[k, i] = rows[ids[k], i] == k ? dy[ids[k], i] : 0, k < count.
struct SpreadExtremes {
  int64_t size;  ///< of an element
  int64_t count, width;
  const int64_t *ids, *rows;
  const void* dy;
  void* dx;
};
extern DeviceKernel<void(const SpreadExtremes&)> spread_max_cuda;

}  // namespace heed::kernels
