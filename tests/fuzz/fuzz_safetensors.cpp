// parse_safetensors on any bytes; what it accepts is read element by element.
#include <memory>
#include <vector>

#include "core/safetensors.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  const auto bytes = std::make_shared<std::vector<std::byte>>(begin, begin + size);
  return heed::read_or_refuse([&] {
    const heed::SafetensorsFile file = heed::parse_safetensors(*bytes, "input", bytes);
    int64_t total = 0;
    for (const auto& [name, tensor] : file.tensors) {
      total += tensor.bytes();
      heed::promise(tensor.to_vector<double>().size() == static_cast<size_t>(tensor.numel()),
                    "every element is there");
    }
    heed::promise(total <= static_cast<int64_t>(size), "the tensors fit into the file");
  });
}
