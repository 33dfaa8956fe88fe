// decode_image on any bytes: JPEG as they are, PNG also with the checksums of its chunks made
// right, which hardly a mutation leaves. What is decoded has all its pixels, and a PNG written from
// it is read back equal.
#include <zlib.h>

#include <cstring>
#include <string>
#include <vector>

#include "data/image_codec.h"
#include "tests/fuzz/harness.h"

namespace {

constexpr uint64_t kLargest = 1 << 18;          // pixels; more of them only take time
constexpr size_t kSignature = 8, kAround = 12;  // of a PNG file; of a chunk, beside its data

uint64_t big_endian(const std::vector<std::byte>& bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | static_cast<uint64_t>(bytes[at + i]);
  return value;
}

void mend_checksums(std::vector<std::byte>& bytes) {
  for (size_t at = kSignature; at + kAround <= bytes.size();) {
    const uint64_t length = big_endian(bytes, at, 4);
    if (length > bytes.size() - at - kAround) return;
    const auto* covered = reinterpret_cast<const Bytef*>(&bytes[at + 4]);
    const uLong sum = crc32(0, covered, static_cast<uInt>(length + 4));
    for (size_t i = 0; i < 4; ++i) {
      bytes[at + 8 + length + i] = static_cast<std::byte>(sum >> (24 - 8 * i) & 0xFF);
    }
    at += length + kAround;
  }
}

// Whether any header in the bytes announces an image that would only take time.
bool large(const std::vector<std::byte>& bytes) {
  for (size_t i = 0; i + 12 < bytes.size(); ++i) {
    if (std::memcmp(&bytes[i], "IHDR", 4) == 0 &&
        big_endian(bytes, i + 4, 4) * big_endian(bytes, i + 8, 4) > kLargest) {
      return true;
    }
    const auto marker = static_cast<unsigned>(bytes[i + 1]);
    if (bytes[i] == std::byte{0xFF} && marker >= 0xC0 && marker <= 0xCF &&
        big_endian(bytes, i + 5, 2) * big_endian(bytes, i + 7, 2) > kLargest) {
      return true;
    }
  }
  return false;
}

void decode(const std::vector<std::byte>& bytes) {
  for (const int64_t channels : {0, 1, 3}) {
    heed::read_or_refuse([&] {
      const heed::data::ByteImage image = heed::data::decode_image(bytes, "input", channels);
      heed::promise(image.height > 0 && image.width > 0 &&
                        (channels == 0 ? image.channels == 1 || image.channels == 3
                                       : image.channels == channels),
                    "the image has the extents asked for");
      heed::promise(
          static_cast<int64_t>(image.values.size()) == image.height * image.width * image.channels,
          "every pixel is there");
      if (channels != 0) return;
      heed::never_refused([&] {
        const std::string file = heed::data::encode_png(image);
        const auto* begin = reinterpret_cast<const std::byte*>(file.data());
        const std::vector<std::byte> again(begin, begin + file.size());
        heed::promise(heed::data::decode_image(again, "again") == image, "PNG comes back equal");
      });
    });
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  std::vector<std::byte> bytes(begin, begin + size);
  if (large(bytes)) return 0;
  decode(bytes);
  if (size > kSignature && std::memcmp(data, "\x89PNG", 4) == 0) {
    mend_checksums(bytes);
    decode(bytes);
  }
  return 0;
}
