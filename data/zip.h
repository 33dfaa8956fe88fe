// Zip archives (PKWARE's APPNOTE 6.3, without zip64, encryption or split archives), as .npz files
// are: members stored or deflated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace heed::data {

struct ZipMember {
  std::string name;
  int64_t header = 0;      ///< offset of its local header
  int64_t compressed = 0;  ///< bytes in the archive
  int64_t size = 0;        ///< bytes of content
  uint32_t crc32 = 0;
  int method = 0;  ///< 0 stored, 8 deflated
};

/// The members of an archive, by its central directory. What breaks the format is a RequestError
/// with the archive's `name` and the byte offset.
std::vector<ZipMember> index_zip(std::span<const std::byte> bytes, const std::string& name);

/// A member's content; damage (also a checksum that does not match) is a RequestError.
std::vector<std::byte> read_zip_member(std::span<const std::byte> bytes, const ZipMember& member,
                                       const std::string& name);

}  // namespace heed::data
