#include "data/zip.h"

#include <zlib.h>

#include <algorithm>
#include <string_view>

#include "core/error.h"

namespace heed::data {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kMaxComment = 65535;

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  [[noreturn]] void reject(size_t at, const std::string& message) const {
    fail_request(SourceLocation{name_}, fmt::format("byte {}: {}", at, message));
  }
  void need(size_t at, size_t count, const char* what) const {
    if (at > bytes_.size() || count > bytes_.size() - at) {
      reject(at, fmt::format("the archive ends within {}", what));
    }
  }
  uint32_t u16(size_t at) const {
    return std::to_integer<uint32_t>(bytes_[at]) | std::to_integer<uint32_t>(bytes_[at + 1]) << 8;
  }
  uint32_t u32(size_t at) const { return u16(at) | u16(at + 2) << 16; }
  std::string string(size_t at, size_t count) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + at, count};
  }

  size_t find_end() const {
    if (bytes_.size() < kEndSize) reject(0, "not a zip archive: too short");
    const size_t last = bytes_.size() - kEndSize;
    const size_t first = last > kMaxComment ? last - kMaxComment : 0;
    for (size_t at = last + 1; at-- > first;) {
      if (u32(at) == kEnd && at + kEndSize + u16(at + 20) == bytes_.size()) return at;
    }
    reject(bytes_.size(), "not a zip archive, or cut short: it has no directory at its end");
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
};

struct Inflater {
  z_stream stream{};
  Inflater() { HEED_CHECK(inflateInit2(&stream, -MAX_WBITS) == Z_OK, "zlib: cannot start"); }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

// zlib counts in 32 bits: input and output are handed over in pieces.
bool inflate_all(std::span<const std::byte> in, std::span<std::byte> out) {
  constexpr size_t kPiece = size_t{1} << 30;
  Inflater inflater;
  z_stream& s = inflater.stream;
  Bytef nowhere = 0;  // zlib wants a place to write to, also for nothing
  s.next_out = &nowhere;
  size_t fed = 0, room = 0;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    if (s.avail_in == 0 && fed < in.size()) {
      s.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data())) + fed;
      s.avail_in = static_cast<uInt>(std::min(kPiece, in.size() - fed));
      fed += s.avail_in;
    }
    if (s.avail_out == 0 && room < out.size()) {
      s.next_out = reinterpret_cast<Bytef*>(out.data()) + room;
      s.avail_out = static_cast<uInt>(std::min(kPiece, out.size() - room));
      room += s.avail_out;
    }
    status = inflate(&s, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END) return false;
  }
  return room == out.size() && s.avail_out == 0;
}

}  // namespace

std::vector<ZipMember> index_zip(std::span<const std::byte> bytes, const std::string& name) {
  const Reader reader(bytes, name);
  const size_t end = reader.find_end();
  const size_t count = reader.u16(end + 10);
  size_t at = reader.u32(end + 16);
  if (count == 0xffff || at == 0xffffffff) reader.reject(end, "zip64 archives are not read");
  std::vector<ZipMember> members;
  for (size_t i = 0; i < count; ++i) {
    reader.need(at, kCentralSize, "its directory");
    if (reader.u32(at) != kCentral) reader.reject(at, "a damaged entry of the directory");
    const size_t name_bytes = reader.u16(at + 28);
    const size_t rest = name_bytes + reader.u16(at + 30) + reader.u16(at + 32);
    reader.need(at + kCentralSize, rest, "its directory");
    ZipMember member{reader.string(at + kCentralSize, name_bytes),
                     reader.u32(at + 42),
                     reader.u32(at + 20),
                     reader.u32(at + 24),
                     reader.u32(at + 16),
                     static_cast<int>(reader.u16(at + 10))};
    if ((reader.u16(at + 8) & 1) != 0) {
      reader.reject(at, fmt::format("'{}' is encrypted", member.name));
    }
    if (member.size >= 0xffffffff || member.compressed >= 0xffffffff) {
      reader.reject(at, fmt::format("'{}' is of 4 GiB or more: zip64 is not read", member.name));
    }
    members.push_back(std::move(member));
    at += kCentralSize + rest;
  }
  return members;
}

std::vector<std::byte> read_zip_member(std::span<const std::byte> bytes, const ZipMember& member,
                                       const std::string& name) {
  const Reader reader(bytes, name);
  const auto at = static_cast<size_t>(member.header);
  reader.need(at, kLocalSize, "a member's header");
  if (reader.u32(at) != kLocal) reader.reject(at, "a damaged member's header");
  const size_t begin = at + kLocalSize + reader.u16(at + 26) + reader.u16(at + 28);
  reader.need(begin, static_cast<size_t>(member.compressed), "a member");
  const auto packed = bytes.subspan(begin, static_cast<size_t>(member.compressed));
  // Deflate packs at most 1032 : 1, so a size beyond that is a lie that would only take memory.
  if (member.size / 1032 > member.compressed + 1) {
    reader.reject(at, fmt::format("'{}' claims {} bytes", member.name, member.size));
  }
  std::vector<std::byte> out(static_cast<size_t>(member.size));
  if (member.method == 0 && packed.size() == out.size()) {
    std::copy(packed.begin(), packed.end(), out.begin());
  } else if (member.method != 8) {
    reader.reject(at, fmt::format("'{}': method {} of packing is not read, or its sizes differ",
                                  member.name, member.method));
  } else if (!inflate_all(packed, out)) {
    reader.reject(begin, fmt::format("'{}' is damaged", member.name));
  }
  const uLong sum =
      crc32_z(0, reinterpret_cast<const Bytef*>(out.data()), static_cast<z_size_t>(out.size()));
  if (sum != member.crc32) {
    reader.reject(begin, fmt::format("'{}': its checksum does not match", member.name));
  }
  return out;
}

}  // namespace heed::data
