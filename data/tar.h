// Tar archives (POSIX.1-1988 ustar, POSIX.1-2001 pax and GNU long names), as an index over the
// archive's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace heed::data {

/// A regular file in an archive.
struct TarMember {
  std::string name;
  int64_t offset = 0;  ///< of its first byte in the archive
  int64_t size = 0;
};

/// The regular files of an archive in order; folders and links are passed over. A header that is
/// damaged, a size beyond the archive, a name that is absolute or climbs by "..", a sparse file and
/// a missing end mark are RequestErrors with the archive's `name` and the header's byte offset.
std::vector<TarMember> index_tar(std::span<const std::byte> bytes, const std::string& name);

}  // namespace heed::data
