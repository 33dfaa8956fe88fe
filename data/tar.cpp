#include "data/tar.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace heed::data {
namespace {

constexpr size_t kBlock = 512;

// Fields of a header block: offset, length.
struct Field {
  size_t offset, length;
};
constexpr Field kName{0, 100}, kSize{124, 12}, kChecksum{148, 8}, kType{156, 1}, kMagic{257, 5},
    kPrefix{345, 155};

class Scanner {
 public:
  Scanner(std::span<const std::byte> bytes, const std::string& name)
      : text_(reinterpret_cast<const char*>(bytes.data()), bytes.size()), name_(name) {}

  std::vector<TarMember> scan() {
    std::vector<TarMember> members;
    for (;;) {
      if (at_ == text_.size()) reject("the archive ends without its end mark: cut short?");
      if (text_.size() - at_ < kBlock) reject("the archive ends within a header");
      header_ = text_.substr(at_, kBlock);
      if (header_.find_first_not_of('\0') == std::string_view::npos) return members;
      read_member(members);
    }
  }

 private:
  [[noreturn]] void reject(const std::string& message) const {
    fail_request(SourceLocation{name_}, fmt::format("byte {}: {}", at_, message));
  }

  std::string_view raw(Field field) const { return header_.substr(field.offset, field.length); }
  std::string_view string(Field field) const {
    const std::string_view value = raw(field);
    return value.substr(0, value.find('\0'));
  }

  // Octal digits between spaces and zeros, or (GNU) a big-endian number after the byte 0x80.
  uint64_t number(Field field, const char* what) const {
    std::string_view value = raw(field);
    uint64_t number = 0;
    if (static_cast<unsigned char>(value[0]) == 0x80) {
      for (const char c : value.substr(1)) {
        if (number >> 54 != 0) reject(fmt::format("the {} overflows", what));
        number = number << 8 | static_cast<unsigned char>(c);
      }
      return number;
    }
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number, 8);
    const std::string_view rest(end, static_cast<size_t>(value.data() + value.size() - end));
    if (error != std::errc() || rest.find_first_not_of(std::string_view(" \0", 2)) != rest.npos) {
      reject(fmt::format("the {} is no octal number: not a tar header", what));
    }
    return number;
  }

  void check_sum() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < kBlock; ++i) {
      const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.length;
      sum += own ? uint64_t{' '} : static_cast<unsigned char>(header_[i]);
    }
    if (sum != number(kChecksum, "checksum")) reject("the header's checksum does not match");
  }

  std::string_view body(uint64_t size) const {
    const size_t begin = at_ + kBlock;
    if (size > text_.size() - begin) {
      reject(fmt::format("a member of {} bytes, {} are left in the archive", size,
                         text_.size() - begin));
    }
    return text_.substr(begin, size);
  }

  // Records "length key=value\n" of a pax header.
  void read_pax(std::string_view records) {
    while (!records.empty()) {
      size_t length = 0;
      const auto [end, error] =
          std::from_chars(records.data(), records.data() + records.size(), length);
      const auto digits = static_cast<size_t>(end - records.data());
      if (error != std::errc() || length > records.size() || length < digits + 3 ||
          records[digits] != ' ' || records[length - 1] != '\n') {
        reject("a damaged pax record");
      }
      const std::string_view record = records.substr(digits + 1, length - digits - 2);
      const size_t equals = record.find('=');
      if (equals == record.npos) reject("a damaged pax record");
      const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
      if (key == "path") next_name_ = std::string(value);
      if (key == "size") {
        uint64_t size = 0;
        const auto [stop, wrong] = std::from_chars(value.data(), value.data() + value.size(), size);
        if (wrong != std::errc() || stop != value.data() + value.size()) {
          reject("a pax size that is no number");
        }
        next_size_ = size;
      }
      if (key.starts_with("GNU.sparse")) reject("sparse files are not read");
      records.remove_prefix(length);
    }
  }

  std::string member_name() {
    if (next_name_) return *std::exchange(next_name_, std::nullopt);
    const std::string name(string(kName));
    const bool ustar = raw(kMagic) == "ustar" && header_[kMagic.offset + 5] == '\0';
    const std::string prefix(ustar ? string(kPrefix) : "");
    return prefix.empty() ? name : prefix + "/" + name;
  }

  void check_name(std::string_view name) const {
    bool safe = !name.empty() && name[0] != '/' && name.find('\0') == name.npos;
    for (std::string_view rest = name; safe && !rest.empty();) {
      const size_t slash = rest.find('/');
      safe = rest.substr(0, slash) != "..";
      rest = slash == rest.npos ? "" : rest.substr(slash + 1);
    }
    if (!safe) reject(fmt::format("the name '{}' leaves the archive", name));
  }

  void read_member(std::vector<TarMember>& members) {
    check_sum();
    const char type = header_[kType.offset];
    uint64_t size = number(kSize, "size");
    if (type == 'x' || type == 'L' || type == 'g' || type == 'K') {
      const std::string_view content = body(size);
      if (type == 'x') read_pax(content);
      if (type == 'L') next_name_ = std::string(content.substr(0, content.find('\0')));
    } else {
      if (next_size_) size = *std::exchange(next_size_, std::nullopt);
      std::string name = member_name();
      if (type == 'S') reject("sparse files are not read");
      if (type >= '1' && type <= '6') size = 0;  // links, devices, folders: nothing follows
      body(size);
      if (type == '0' || type == '\0' || type == '7') {
        check_name(name);
        members.push_back(
            {std::move(name), static_cast<int64_t>(at_ + kBlock), static_cast<int64_t>(size)});
      }
    }
    const size_t padded = (static_cast<size_t>(size) + kBlock - 1) / kBlock * kBlock;
    if (padded > text_.size() - at_ - kBlock) reject("the archive ends within a member");
    at_ += kBlock + padded;
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  std::string_view header_;
  std::optional<std::string> next_name_;
  std::optional<uint64_t> next_size_;
};

}  // namespace

std::vector<TarMember> index_tar(std::span<const std::byte> bytes, const std::string& name) {
  return Scanner(bytes, name).scan();
}

}  // namespace heed::data
