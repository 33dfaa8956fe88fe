// Running a function of elements over whole tensors: broadcasting, layout, threads. The function
// itself comes as a row function, compiled for each instruction set (map_row-inl.h).
#pragma once

#include <array>
#include <initializer_list>

#include "core/tensor.h"

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

/// out[i] = fn(in[i]...): inputs broadcast to the outputs' shape and have the outputs' dtype, but a
/// 0-dimensional input may have any. Outputs: equal shapes, rows contiguous; an output may be an
/// input, element by element. Bumps the outputs' versions.
void map_rows(const char* op, RowFn fn, std::initializer_list<Tensor> in,
              std::initializer_list<Tensor> out);

}  // namespace heed::kernels
