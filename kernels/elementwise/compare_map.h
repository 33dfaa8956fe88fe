// What compare.cu works on. Operand 0 of the loop is the result, the inputs follow.
#pragma once

#include "kernels/device_kernel.h"
#include "kernels/elementwise/functions.h"
#include "kernels/strided_plan.h"

namespace heed::kernels {

/// The type that elements are compared in: exact for each dtype.
template <class T>
using Compared =
    std::conditional_t<std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>, float, T>;
/// The same beside a number of the host's.
template <class T>
using ComparedWithNumber = std::conditional_t<std::is_same_v<Compared<T>, float>, float, double>;

template <class V>
HEED_HOST_DEVICE bool holds(Compare op, V a, V b) {
  switch (op) {
    case Compare::eq:
      return a == b;
    case Compare::ne:
      return a != b;
    case Compare::lt:
      return a < b;
    case Compare::le:
      return a <= b;
    case Compare::gt:
      return a > b;
    case Compare::ge:
      return a >= b;
  }
  return false;
}

/// out[i] = a[i] op b[i]; b is `number` where it has no memory.
struct CompareMap {
  Compare op;
  DType dtype;
  StridedPlan loop;
  const void *a, *b;
  double number;
  bool* out;
};
extern DeviceKernel<void(const CompareMap&)> compare_cuda;

struct LogicalMap {
  Logical op;
  StridedPlan loop;
  const bool *a, *b;
  bool* out;
};
extern DeviceKernel<void(const LogicalMap&)> logical_cuda;

/// out[i] = cond[i] ? a[i] : b[i]; elements of `size` bytes.
struct SelectMap {
  int64_t size;
  StridedPlan loop;
  const bool* cond;
  const void *a, *b;
  void* out;
};
extern DeviceKernel<void(const SelectMap&)> select_cuda;

}  // namespace heed::kernels
