// index_tar on any bytes, as they are and with the checksums of headers made right, which hardly a
// mutation leaves. Members must lie within the archive, in order, under names that stay inside a
// folder.
#include <string>
#include <vector>

#include "data/tar.h"
#include "tests/fuzz/harness.h"

namespace {

constexpr size_t kBlock = 512, kSum = 148, kSumLength = 8, kMagic = 257;

void mend_checksums(std::vector<std::byte>& bytes) {
  for (size_t at = 0; at + kBlock <= bytes.size(); at += kBlock) {
    if (std::string(reinterpret_cast<const char*>(&bytes[at + kMagic]), 5) != "ustar") continue;
    for (size_t i = 0; i < kSumLength; ++i) bytes[at + kSum + i] = std::byte{' '};
    unsigned sum = 0;
    for (size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned>(bytes[at + i]);
    char digits[kSumLength + 1];
    std::snprintf(digits, sizeof(digits), "%06o", sum);
    for (size_t i = 0; i < 7; ++i) bytes[at + kSum + i] = static_cast<std::byte>(digits[i]);
  }
}

void index(const std::vector<std::byte>& bytes) {
  heed::read_or_refuse([&] {
    int64_t end = 0;
    for (const heed::data::TarMember& member : heed::data::index_tar(bytes, "input")) {
      heed::promise(member.offset >= end && member.size >= 0, "members follow each other");
      end = member.offset + member.size;
      heed::promise(end <= static_cast<int64_t>(bytes.size()), "members lie in the archive");
      heed::promise(!member.name.empty() && member.name[0] != '/', "names are relative");
      heed::promise(("/" + member.name + "/").find("/../") == std::string::npos,
                    "names do not climb");
    }
  });
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  std::vector<std::byte> bytes(begin, begin + size);
  index(bytes);
  mend_checksums(bytes);
  index(bytes);
  return 0;
}
