// index_zip on any bytes; every member of what it accepts is read or refused, and what is read has
// the size that the directory says.
#include <vector>

#include "data/zip.h"
#include "tests/fuzz/harness.h"

namespace {
constexpr int64_t kLargest = 1 << 24;  // a member larger than this only takes time
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> bytes(begin, begin + size);
  return heed::read_or_refuse([&] {
    for (const heed::data::ZipMember& member : heed::data::index_zip(bytes, "input")) {
      if (member.size > kLargest) continue;
      heed::read_or_refuse([&] {
        const auto content = heed::data::read_zip_member(bytes, member, "input");
        heed::promise(static_cast<int64_t>(content.size()) == member.size, "the size is right");
      });
    }
  });
}
