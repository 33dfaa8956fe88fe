// parse_npy on any bytes; what it accepts is read element by element.
#include <memory>
#include <vector>

#include "core/npy.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  const auto bytes = std::make_shared<std::vector<std::byte>>(begin, begin + size);
  return heed::read_or_refuse([&] {
    const heed::Tensor tensor = heed::parse_npy(*bytes, "input", bytes);
    heed::promise(tensor.bytes() <= static_cast<int64_t>(size), "the tensor fits into the file");
    heed::promise(tensor.to_vector<double>().size() == static_cast<size_t>(tensor.numel()),
                  "every element is there");
  });
}
