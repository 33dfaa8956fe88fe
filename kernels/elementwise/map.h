// Running a function of elements over whole tensors: broadcasting, layout, threads. The function
// itself comes as a row function, compiled for each instruction set (map_row-inl.h).
#pragma once

#include <array>
#include <initializer_list>

#include "core/tensor.h"
#include "kernels/elementwise/element_map.h"

namespace heed::kernels {

/// n consecutive elements of each operand.
struct Row {
  static constexpr size_t kMaxInputs = 4;
  static constexpr size_t kMaxOutputs = 2;

  int64_t n = 0;
  /// Elements of the op's dtype; null for an input that is one number along the row.
  std::array<const void*, kMaxInputs> in{};
  std::array<double, kMaxInputs> number{};
  std::array<void*, kMaxOutputs> out{};
};
using RowFn = void (*)(const Row& row);

/// The function of a map: for rows on the CPU, or for a device (element_map.h).
class MapFunction {
 public:
  MapFunction(RowFn on_rows) : rows_(on_rows) {}
  MapFunction(DeviceMapFn on_device) : device_(on_device) {}
  RowFn rows() const { return rows_; }
  DeviceMapFn device() const { return device_; }

 private:
  RowFn rows_ = nullptr;
  DeviceMapFn device_ = nullptr;
};

/// out[i] = fn(in[i]...): inputs broadcast to the outputs' shape and have the outputs' dtype, but a
/// 0-dimensional input may have any (and lie on the CPU where the others do not). Outputs: equal
/// shapes, rows contiguous; an output may be an input, element by element. `fn` is one for the
/// outputs' device. Bumps the outputs' versions.
void map_rows(const char* op, MapFunction fn, std::initializer_list<Tensor> in,
              std::initializer_list<Tensor> out);

}  // namespace heed::kernels
