// .npy files (NumPy Enhancement Proposal 1, versions 1.0 and 2.0): one array each.
//
//   6 bytes   "\x93NUMPY", then major and minor version
//   2 or 4    length of the header, little-endian (2 bytes in version 1)
//   header    a Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
//   the rest  the elements, row-major
//
// Element types: f8 f4 f2 i8 i4 u1 b1, little-endian. NumPy has no bfloat16.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "core/tensor.h"

namespace heed {

/// Reads an array, mapped like read_safetensors() does. A file that breaks a rule of the format, or
/// holds another element type, big-endian or column-major data, is a RequestError naming the file
/// and byte offset.
Tensor read_npy(const std::string& path);

/// Parses a whole file in memory; `name` stands for it in errors. Without an `owner` that keeps the
/// bytes alive the tensor is a copy.
Tensor parse_npy(std::span<std::byte> bytes, const std::string& name,
                 const std::shared_ptr<const void>& owner = nullptr);

/// Writes version 1.0, atomically. Throws Error for bf16.
void write_npy(const std::string& path, const Tensor& tensor);

}  // namespace heed
