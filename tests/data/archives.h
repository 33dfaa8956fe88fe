// Tar and zip archives made in memory, for tests.
#pragma once

#include <fmt/format.h>
#include <zlib.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace heed::data {

inline std::span<std::byte> as_bytes_of(std::string& text) {
  return std::as_writable_bytes(std::span(text));
}

/// One ustar header block and its padded content.
inline std::string tar_member(const std::string& name, const std::string& content, char type = '0',
                              const std::string& size_field = "") {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(100, 8, std::string("0000644\0", 8));
  header.replace(124, 11, size_field.empty() ? fmt::format("{:011o}", content.size()) : size_field);
  header.replace(148, 8, "        ");
  header[156] = type;
  header.replace(257, 8, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  header.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  std::string padded = content;
  padded.resize((content.size() + 511) / 512 * 512);
  return header + padded;
}

inline std::string tar_end() { return std::string(1024, '\0'); }

inline std::string tar_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string out;
  for (const auto& [name, content] : files) out += tar_member(name, content);
  return out + tar_end();
}

inline std::string little_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += i < 8 ? static_cast<char>(value >> 8 * i) : '\0';
  return out;
}

/// Raw deflate.
inline std::string deflated(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string zip_of(const std::vector<std::pair<std::string, std::string>>& files,
                          bool deflate_them) {
  std::string out, directory;
  for (const auto& [name, content] : files) {
    const std::string packed = deflate_them ? deflated(content) : content;
    const uLong crc =
        crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
    const std::string common = little_endian(deflate_them ? 8 : 0, 2) + little_endian(0, 4) +
                               little_endian(crc, 4) + little_endian(packed.size(), 4) +
                               little_endian(content.size(), 4) + little_endian(name.size(), 2) +
                               little_endian(0, 2);
    directory += "PK\1\2" + little_endian(20, 2) + little_endian(20, 2) + little_endian(0, 2) +
                 common + little_endian(0, 10) + little_endian(out.size(), 4) + name;
    out += "PK\3\4" + little_endian(20, 2) + little_endian(0, 2) + common + name + packed;
  }
  return out + directory + "PK\5\6" + little_endian(0, 4) + little_endian(files.size(), 2) +
         little_endian(files.size(), 2) + little_endian(directory.size(), 4) +
         little_endian(out.size(), 4) + little_endian(0, 2);
}

}  // namespace heed::data
