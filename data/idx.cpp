#include "data/idx.h"

#include <cstring>

#include "core/files.h"
#include "core/tensor_bytes.h"

namespace heed::data {

Tensor parse_idx(std::span<const std::byte> bytes, const std::string& name) {
  const SourceLocation where{name};
  const auto byte = [&](size_t i) { return std::to_integer<unsigned>(bytes[i]); };
  if (bytes.size() < 4 || byte(0) != 0 || byte(1) != 0) {
    fail_request(where, "not an IDX file: it must start with two zero bytes");
  }
  if (byte(2) != 0x08) {
    fail_request(where, fmt::format("byte 2: element type {:#04x}; only unsigned bytes (0x08) are "
                                    "read",
                                    byte(2)));
  }
  const size_t rank = byte(3), start = 4 + 4 * rank;
  if (rank < 1 || rank > kMaxRank || bytes.size() < start) {
    fail_request(where,
                 fmt::format("byte 3: {} dimensions in a file of {} bytes", rank, bytes.size()));
  }
  Shape shape;
  for (size_t d = 0; d < rank; ++d) {
    int64_t extent = 0;
    for (size_t i = 0; i < 4; ++i) extent = extent << 8 | byte(4 + 4 * d + i);
    shape.push_back(extent);
  }
  int64_t size = 0;
  const auto rest = static_cast<int64_t>(bytes.size() - start);
  if (!checked_bytes(shape, DType::u8, &size) || size != rest) {
    fail_request(where, fmt::format("byte {}: the shape {} does not fit the {} bytes that follow",
                                    start, shape.to_string(), rest));
  }
  Tensor out = Tensor::empty(shape, DType::u8);
  if (rest > 0) std::memcpy(out.raw(), bytes.data() + start, bytes.size() - start);
  return out;
}

Tensor read_idx(const std::string& path) {
  const std::string bytes = read_file(path);
  return parse_idx(std::as_bytes(std::span(bytes)), path);
}

}  // namespace heed::data
