// parse_idx on any bytes; what it accepts fills the input.
#include <vector>

#include "data/idx.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> bytes(begin, begin + size);
  return heed::read_or_refuse([&] {
    const heed::Tensor tensor = heed::data::parse_idx(bytes, "input");
    heed::promise(tensor.bytes() + 4 + 4 * tensor.rank() == static_cast<int64_t>(size),
                  "the tensor fills the file");
    heed::promise(tensor.to_vector<uint8_t>().size() == static_cast<size_t>(tensor.numel()),
                  "every element is there");
  });
}
