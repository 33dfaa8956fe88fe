#include "core/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#include "core/files.h"
#include "core/tensor_bytes.h"

namespace heed {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeader = size_t{64} << 10;  // what np.load accepts is less
constexpr size_t kDataAlignment = 64;

constexpr std::array<std::pair<std::string_view, DType>, 7> kDTypes = {{{"f8", DType::f64},
                                                                        {"f4", DType::f32},
                                                                        {"f2", DType::f16},
                                                                        {"i8", DType::i64},
                                                                        {"i4", DType::i32},
                                                                        {"u1", DType::u8},
                                                                        {"b1", DType::boolean}}};

// Reads the header's dict: string keys; values are strings, True, False or tuples of integers.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, size_t offset, const std::string& name)
      : text_(text), offset_(offset), name_(name) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      const size_t at = position();
      const std::string key = string();
      expect(':');
      bool fresh = true;
      if (key == "descr") {
        fresh = !std::exchange(has_dtype_, true);
        dtype_ = dtype();
      } else if (key == "fortran_order") {
        fresh = !std::exchange(has_order_, true);
        order();
      } else if (key == "shape") {
        fresh = !std::exchange(has_shape_, true);
        shape_ = shape();
      } else {
        reject(at, fmt::format("unknown key '{}'", key));
      }
      if (!fresh) reject(at, fmt::format("the key '{}' twice", key));
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (position_ != text_.size()) reject(position(), "text behind the header's dict");
    if (!has_dtype_ || !has_order_ || !has_shape_) {
      reject(offset_, "the header must give 'descr', 'fortran_order' and 'shape'");
    }
  }

  DType dtype_ = DType::f32;
  Shape shape_;

 private:
  [[noreturn]] void reject(size_t at, const std::string& message) const {
    fail_request(SourceLocation{name_}, fmt::format("byte {}: {}", at, message));
  }
  size_t position() const { return offset_ + position_; }

  void skip_space() {
    position_ = std::min(text_.find_first_not_of(" \t\n", position_), text_.size());
  }
  bool accept(char c) {
    skip_space();
    if (position_ == text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) reject(position(), fmt::format("expected '{}' in the header", c));
  }
  bool accept_word(std::string_view word) {
    skip_space();
    if (!text_.substr(position_).starts_with(word)) return false;
    position_ += word.size();
    return true;
  }

  std::string string() {
    const bool single = accept('\'');
    if (!single) expect('"');
    const size_t end = text_.find(single ? '\'' : '"', position_);
    if (end == std::string_view::npos) reject(position(), "a string without an end");
    std::string out(text_.substr(position_, end - position_));
    position_ = end + 1;
    return out;
  }

  DType dtype() {
    skip_space();
    const size_t at = position();
    if (accept('[')) reject(at, "structured elements are not read");
    const std::string descr = string();
    const char order = descr.empty() ? '?' : descr[0];
    for (const auto& [code, type] : kDTypes) {
      if (descr.size() != 3 || descr.substr(1) != code) continue;
      if (order == '<' || order == '=' || (order == '|' && size_of(type) == 1)) return type;
      if (order == '>') reject(at, fmt::format("'{}': big-endian elements are not read", descr));
    }
    reject(at, fmt::format("elements '{}' are not read; those that are: <f8, <f4, <f2, <i8, <i4, "
                           "|u1, |b1",
                           descr));
  }

  void order() {
    const size_t at = position();
    if (accept_word("False")) return;
    if (accept_word("True")) reject(at, "column-major data (fortran_order) are not read");
    reject(at, "'fortran_order' must be True or False");
  }

  Shape shape() {
    std::vector<int64_t> extents;
    const size_t at = position();
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t extent = 0;
      const char* begin = text_.data() + position_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), extent);
      if (error != std::errc() || extent < 0)
        reject(position(), "an extent must be an integer >= 0");
      position_ += static_cast<size_t>(end - begin);
      extents.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    if (extents.size() > static_cast<size_t>(kMaxRank)) {
      reject(at, fmt::format("rank {}, at most {} is read", extents.size(), kMaxRank));
    }
    return extents;
  }

  std::string_view text_;
  size_t offset_;
  std::string name_;
  size_t position_ = 0;
  bool has_dtype_ = false;
  bool has_order_ = false;
  bool has_shape_ = false;
};

}  // namespace

Tensor parse_npy(std::span<std::byte> bytes, const std::string& name,
                 const std::shared_ptr<const void>& owner) {
  const SourceLocation where{name};
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic)) fail_request(where, "not a .npy file (it starts otherwise)");
  const size_t version = text.size() > kMagic.size() ? std::to_integer<size_t>(bytes[6]) : 0;
  const size_t length_bytes = version == 1 ? 2 : 4;
  const size_t start = kMagic.size() + 2 + length_bytes;
  if (text.size() < start) fail_request(where, "cut short within the first bytes");
  // Version 3 differs from 2 in that names of fields may be UTF-8.
  if (version < 1 || version > 3) {
    fail_request(where, fmt::format("byte 6: version {} of .npy is not read", version));
  }
  size_t length = 0;
  std::memcpy(&length, bytes.data() + kMagic.size() + 2, length_bytes);
  if (length > kMaxHeader || length > text.size() - start) {
    fail_request(where, fmt::format("byte 8: a header of {} bytes, {} follow and {} are allowed",
                                    length, text.size() - start, kMaxHeader));
  }
  HeaderParser header(text.substr(start, length), start, name);
  header.parse();

  int64_t size = 0;
  if (!checked_bytes(header.shape_, header.dtype_, &size)) {
    fail_request(where, fmt::format("shape {} overflows", header.shape_));
  }
  std::byte* data = bytes.data() + start + length;
  const size_t available = bytes.size() - start - length;
  if (available != static_cast<size_t>(size)) {
    fail_request(
        where, fmt::format("{} of shape {} takes {} bytes, {} follow byte {}",
                           name_of(header.dtype_), header.shape_, size, available, start + length));
  }
  if (header.dtype_ == DType::boolean) check_booleans(data, available, start + length, where);
  return tensor_over_bytes(data, header.shape_, header.dtype_, owner);
}

Tensor read_npy(const std::string& path) {
  const auto file = std::make_shared<MappedFile>(path);
  return parse_npy(file->bytes(), path, file);
}

void write_npy(const std::string& path, const Tensor& tensor) {
  const auto known = std::find_if(kDTypes.begin(), kDTypes.end(),
                                  [&](const auto& pair) { return pair.second == tensor.dtype(); });
  HEED_CHECK(known != kDTypes.end(), "'{}': .npy has no {}; convert to f32 first", path,
             name_of(tensor.dtype()));
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': (",
                                   size_of(tensor.dtype()) == 1 ? '|' : '<', known->first);
  for (int64_t extent : tensor.shape()) header += fmt::format("{}, ", extent);
  if (tensor.rank() > 1) header.resize(header.size() - 2);
  if (tensor.rank() == 1) header.pop_back();  // (n,)
  header += "), }";
  const size_t prefix = kMagic.size() + 4;
  const size_t unpadded = prefix + header.size() + 1;
  header.append((kDataAlignment - unpadded % kDataAlignment) % kDataAlignment, ' ');
  header += '\n';

  AtomicFile file(path);
  file.write(kMagic);
  const std::array<unsigned char, 4> version_and_length = {
      1, 0, static_cast<unsigned char>(header.size() & 0xff),
      static_cast<unsigned char>(header.size() >> 8)};
  file.write(version_and_length.data(), version_and_length.size());
  file.write(header);
  with_row_major_bytes(tensor, [&](const void* data, size_t size) { file.write(data, size); });
  file.commit();
}

}  // namespace heed
