#include <algorithm>
#include <cstring>

#include "core/config.h"
#include "core/safetensors.h"
#include "core/safetensors_format.h"
#include "core/tensor_bytes.h"

namespace heed {
namespace {

using namespace safetensors_format;

// What the header says of one tensor, checked in itself.
struct Entry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  uint64_t begin = 0;  // in bytes from the first byte of data
  uint64_t end = 0;
};

class Parser {
 public:
  Parser(std::span<std::byte> bytes, const std::string& name, std::shared_ptr<const void> owner)
      : bytes_(bytes), name_(name), owner_(std::move(owner)) {}

  SafetensorsFile parse() {
    const Config header = read_header();
    SafetensorsFile file;
    std::vector<Entry> entries;
    for (const auto& [key, value] : header.as_map()) {
      if (key == kMetadata) {
        file.metadata = read_metadata(value);
      } else {
        entries.push_back(read_entry(key, value));
      }
    }
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    check_layout(entries);
    for (const Entry& entry : entries) file.tensors.emplace_back(entry.name, tensor_of(entry));
    return file;
  }

 private:
  template <class... Args>
  [[noreturn]] void reject(fmt::format_string<Args...> format, Args&&... args) const {
    fail_request(SourceLocation{name_}, fmt::format(format, std::forward<Args>(args)...));
  }

  Config read_header() {
    if (bytes_.size() < kPrefix) {
      reject("not a safetensors file: {} bytes, the length of the header alone takes 8",
             bytes_.size());
    }
    uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), kPrefix);
    if (length > kMaxHeader) {
      reject("not a safetensors file: byte 0 announces a header of {} bytes, the format allows {}",
             length, kMaxHeader);
    }
    if (length > bytes_.size() - kPrefix) {
      reject("cut short: byte 0 announces a header of {} bytes, the file has {} behind it", length,
             bytes_.size() - kPrefix);
    }
    data_start_ = kPrefix + length;
    const std::string text(reinterpret_cast<const char*>(bytes_.data()) + kPrefix, length);
    if (!text.starts_with('{')) reject("byte 8: the header must start with '{{'");
    return parse_json(text, name_ + ": header");
  }

  std::vector<std::pair<std::string, std::string>> read_metadata(const Config& value) const {
    if (!value.is_map())
      reject("'{}' must be a map of strings, got {}", kMetadata, value.summary());
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [key, text] : value.as_map()) {
      if (!text.is_string()) {
        reject("'{}': '{}' must be a string, got {}", kMetadata, key, text.summary());
      }
      out.emplace_back(key, text.as_string());
    }
    return out;
  }

  Entry read_entry(const std::string& name, const Config& value) const {
    if (!value.is_map()) reject("tensor '{}': must be a map, got {}", name, value.summary());
    Entry entry{name, read_dtype(name, value), read_shape(name, value)};
    const Config* offsets = value.find("data_offsets");
    if (offsets == nullptr || !offsets->is_list() || offsets->as_list().size() != 2) {
      reject("tensor '{}': 'data_offsets' must be two byte offsets", name);
    }
    entry.begin = extent(name, "data_offsets", offsets->as_list()[0]);
    entry.end = extent(name, "data_offsets", offsets->as_list()[1]);
    return entry;
  }

  DType read_dtype(const std::string& name, const Config& value) const {
    const Config* dtype = value.find("dtype");
    if (dtype == nullptr || !dtype->is_string()) {
      reject("tensor '{}': 'dtype' must be a string", name);
    }
    std::vector<std::string> known;
    for (const auto& [word, type] : kDTypes) {
      if (dtype->as_string() == word) return type;
      known.emplace_back(word);
    }
    reject("tensor '{}': dtype {} is not read; those that are: {}", name, dtype->as_string(),
           fmt::join(known, ", "));
  }

  Shape read_shape(const std::string& name, const Config& value) const {
    const Config* shape = value.find("shape");
    if (shape == nullptr || !shape->is_list()) {
      reject("tensor '{}': 'shape' must be a list of extents", name);
    }
    const Config::List& extents = shape->as_list();
    if (extents.size() > static_cast<size_t>(kMaxRank)) {
      reject("tensor '{}': rank {}, at most {} is read", name, extents.size(), kMaxRank);
    }
    Shape out;
    for (const Config& item : extents) {
      out.push_back(static_cast<int64_t>(extent(name, "shape", item)));
    }
    return out;
  }

  uint64_t extent(const std::string& name, const char* field, const Config& value) const {
    if (!value.is_integer() || value.as_integer() < 0) {
      reject("tensor '{}': '{}' must hold integers from 0, got {}", name, field, value.summary());
    }
    return static_cast<uint64_t>(value.as_integer());
  }

  uint64_t bytes_of(const Entry& entry) const {
    int64_t bytes = 0;
    if (!checked_bytes(entry.shape, entry.dtype, &bytes)) {
      reject("tensor '{}': shape {} overflows", entry.name, entry.shape);
    }
    return static_cast<uint64_t>(bytes);
  }

  // The tensors must cover the data end to end, in some order.
  void check_layout(const std::vector<Entry>& entries) const {
    const uint64_t available = bytes_.size() - data_start_;
    uint64_t expected = 0;
    for (const Entry& entry : entries) {
      if (entry.begin != expected || entry.end < entry.begin) {
        reject("tensor '{}': data_offsets [{}, {}], but the data before it ends at {}", entry.name,
               entry.begin, entry.end, expected);
      }
      if (entry.end - entry.begin != bytes_of(entry)) {
        reject("tensor '{}': {} of shape {} takes {} bytes, data_offsets [{}, {}] give {}",
               entry.name, name_of_dtype(entry.dtype), entry.shape, bytes_of(entry), entry.begin,
               entry.end, entry.end - entry.begin);
      }
      if (entry.end > available) {
        reject("cut short: tensor '{}' ends at byte {} of the data, the file has {}", entry.name,
               entry.end, available);
      }
      expected = entry.end;
    }
    if (expected != available) {
      reject("{} bytes from byte {} on belong to no tensor", available - expected,
             data_start_ + expected);
    }
  }

  Tensor tensor_of(const Entry& entry) const {
    const size_t start = data_start_ + entry.begin;
    std::byte* data = bytes_.data() + start;
    if (entry.dtype == DType::boolean) {
      const SourceLocation where{fmt::format("{}: tensor '{}'", name_, entry.name)};
      check_booleans(data, entry.end - entry.begin, start, where);
    }
    return tensor_over_bytes(data, entry.shape, entry.dtype, owner_);
  }

  std::span<std::byte> bytes_;
  std::string name_;
  std::shared_ptr<const void> owner_;
  uint64_t data_start_ = 0;
};

}  // namespace

Tensor SafetensorsFile::find(const std::string& name) const {
  for (const auto& [known, tensor] : tensors) {
    if (known == name) return tensor;
  }
  return {};
}

SafetensorsFile parse_safetensors(std::span<std::byte> bytes, const std::string& name,
                                  std::shared_ptr<const void> owner) {
  return Parser(bytes, name, std::move(owner)).parse();
}

}  // namespace heed
