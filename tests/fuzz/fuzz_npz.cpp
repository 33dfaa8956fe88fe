// An .npz file of any bytes: index_zip, read_zip_member, and parse_npy of every member; what is
// accepted is read element by element.
#include <vector>

#include "core/npy.h"
#include "data/zip.h"
#include "tests/fuzz/harness.h"

namespace {
constexpr int64_t kLargest = 1 << 20;  // a member larger than this only takes time
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> bytes(begin, begin + size);
  return heed::read_or_refuse([&] {
    for (const heed::data::ZipMember& member : heed::data::index_zip(bytes, "input")) {
      if (member.size > kLargest) continue;
      heed::read_or_refuse([&] {
        auto content = heed::data::read_zip_member(bytes, member, "input");
        const heed::Tensor tensor = heed::parse_npy(content, "input:" + member.name);
        heed::promise(tensor.bytes() <= member.size, "the tensor fits into the member");
        heed::promise(tensor.to_vector<double>().size() == static_cast<size_t>(tensor.numel()),
                      "every element is there");
      });
    }
  });
}
