// safetensors files (github.com/huggingface/safetensors, "Format"):
//
//   8 bytes   length n of the header, little-endian
//   n bytes   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
//                    "__metadata__": {"key": "text", ...}}, padded with spaces
//   the rest  the tensors, row-major and little-endian, end to end without holes
//
// Element types: F64 F32 F16 BF16 I64 I32 U8 BOOL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace heed {

class MappedFile;

struct SafetensorsFile {
  std::vector<std::pair<std::string, Tensor>> tensors;  ///< in the order of their data
  std::vector<std::pair<std::string, std::string>> metadata;

  std::vector<std::shared_ptr<const MappedFile>> files = {};  ///< mapped ones that hold the tensors

  /// The tensor of that name, or an undefined one.
  Tensor find(const std::string& name) const;
  /// Gives the memory of a tensor that lies in a mapped file back, until it is touched again.
  void release(const Tensor& tensor) const;
};

/// Opens a file, an index of shards ("model.safetensors.index.json": every tensor that its
/// weight_map lists, from the files beside it) or a folder that holds "model.safetensors" or that
/// index. The tensors lie in the mapped file and are read as they are touched; writing to them
/// changes this process' copy alone. (A tensor that is not aligned to its element is copied.)
///
/// A file that breaks a rule of the format is a RequestError naming the file and the tensor or byte
/// offset; so is a tensor of rank above 8 or of another element type.
SafetensorsFile read_safetensors(const std::string& path);

/// Parses a whole file in memory; `name` stands for it in errors. `owner` keeps the bytes alive for
/// as long as a tensor lies in them; without it every tensor is a copy.
SafetensorsFile parse_safetensors(std::span<std::byte> bytes, const std::string& name,
                                  std::shared_ptr<const void> owner = nullptr);

/// Writes the file atomically. The data are ordered by element size, then name, so that the same
/// tensors give the same bytes and each is aligned. Strided tensors are written in row-major order.
/// Throws Error for two tensors of one name, a name that is not UTF-8 or is "__metadata__".
void write_safetensors(const std::string& path,
                       const std::vector<std::pair<std::string, Tensor>>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata = {});

/// A tensor that is made when its turn to be written comes and let go behind it, so that a file may
/// be larger than the memory.
struct PendingTensor {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::function<Tensor()> make;
  std::function<void()> written = {};  ///< called behind it; may be empty

  int64_t bytes() const { return shape.numel() * static_cast<int64_t>(size_of(dtype)); }
};
/// One that exists already.
PendingTensor pending(const std::string& name, const Tensor& tensor);

/// write_safetensors of such tensors.
void write_pending_safetensors(
    const std::string& path, std::vector<PendingTensor> tensors,
    const std::vector<std::pair<std::string, std::string>>& metadata = {});

/// Writes them into a folder that exists: as model.safetensors, or, where that would be larger than
/// `most_bytes`, as model-00001-of-0000N.safetensors and so on, in the order given, with their
/// index. Returns the files' names. (One larger tensor has a file by itself.)
std::vector<std::string> write_safetensors_shards(
    const std::string& folder, std::vector<PendingTensor> tensors, int64_t most_bytes,
    const std::vector<std::pair<std::string, std::string>>& metadata = {});

/// Writes the index of shards, "model.safetensors.index.json": (tensor, the file beside the index
/// that holds it) and the bytes of all.
void write_safetensors_index(const std::string& path,
                             const std::vector<std::pair<std::string, std::string>>& weight_map,
                             int64_t total_bytes);

}  // namespace heed
