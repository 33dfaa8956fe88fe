#include "data/token_shard.h"

#include <bit>
#include <cstring>

#include "core/checksum.h"
#include "core/files.h"

namespace heed::data {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr char kMagic[8] = "HEEDTOK";
constexpr uint32_t kVersion = 1, kContinues = 1;
constexpr size_t kSumBytes = 32;

[[noreturn]] void reject(const std::string& name, size_t at, const std::string& message) {
  fail_request(SourceLocation{name}, fmt::format("byte {}: {}", at, message));
}

/// A field of the header, as data/token_shard.h calls it.
struct Field {
  size_t at;
  const char* name;
};
constexpr Field kVersionField{8, "version"}, kWidth{12, "bytes of an id"}, kTokens{16, "tokens"},
    kDocuments{24, "documents"}, kTextBytes{32, "bytes of text"}, kVocabulary{40, "vocabulary"},
    kFlags{48, "flags"};

[[noreturn]] void reject(const std::string& name, const Field& field, const std::string& message) {
  reject(name, field.at, fmt::format("{}: {}", field.name, message));
}

template <class T>
T number_at(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

std::string hexadecimal(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", std::to_integer<int>(byte));
  return text;
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void put_sum(std::string& out, const std::string& digits) {
  HEED_CHECK(digits.size() == 2 * kSumBytes, "token shard: '{}' is no SHA-256", digits);
  for (size_t i = 0; i < kSumBytes; ++i) {
    out += static_cast<char>(std::stoi(digits.substr(2 * i, 2), nullptr, 16));
  }
}

std::string header_bytes(const ShardHeader& header) {
  std::string out(kMagic, sizeof(kMagic));
  put<uint32_t>(out, kVersion);
  put<uint32_t>(out, static_cast<uint32_t>(header.width));
  for (const int64_t number :
       {header.tokens, header.documents, header.text_bytes, header.vocab_size}) {
    put<int64_t>(out, number);
  }
  put<uint32_t>(out, header.continues ? kContinues : 0);
  put<uint32_t>(out, 0);
  put_sum(out, header.tokenizer);
  put_sum(out, header.content_sum);
  put<uint64_t>(out, 0);
  return out;
}

template <class Id>
std::string id_bytes(const std::vector<TokenId>& ids) {
  std::vector<Id> narrow(ids.begin(), ids.end());
  return {reinterpret_cast<const char*>(narrow.data()), narrow.size() * sizeof(Id)};
}

}  // namespace

std::string tokenizer_digest(const Tokenizer& tokenizer) {
  return sha256(tokenizer.to_config().to_json());
}

std::string shard_name(int64_t index) { return fmt::format("shard-{:06}.tokens", index); }

ShardHeader read_shard_header(std::span<const std::byte> bytes, const std::string& name) {
  if (bytes.size() < kShardHeader) {
    reject(name, bytes.size(),
           fmt::format("a token shard has a header of {} bytes, and the file ends here",
                       kShardHeader));
  }
  if (std::memcmp(bytes.data(), kMagic, sizeof(kMagic)) != 0) {
    reject(name, 0, "not a token shard: it does not begin with HEEDTOK");
  }
  const auto version = number_at<uint32_t>(bytes, kVersionField.at);
  const auto width = number_at<uint32_t>(bytes, kWidth.at);
  if (version != kVersion) {
    reject(name, kVersionField,
           fmt::format("version {} of token shards; {} is read", version, kVersion));
  }
  if (width != 2 && width != 4)
    reject(name, kWidth, fmt::format("ids of {} bytes, not 2 or 4", width));
  const auto tokens = number_at<uint64_t>(bytes, kTokens.at);
  const auto documents = number_at<uint64_t>(bytes, kDocuments.at);
  // Held against the room before they are multiplied, so that no product overflows.
  const uint64_t room = bytes.size() - kShardHeader;
  if (documents > room / 8) {
    reject(name, kDocuments,
           fmt::format("{} documents in a file of {} bytes", documents, bytes.size()));
  }
  if (tokens > room / width || tokens * width != room - 8 * documents) {
    reject(name, kTokens,
           fmt::format("{} tokens of {} bytes and {} documents do not fill a file of {} "
                       "bytes",
                       tokens, width, documents, bytes.size()));
  }
  if (documents > tokens) {
    reject(name, kDocuments, fmt::format("{} documents of {} tokens", documents, tokens));
  }
  const auto text = number_at<uint64_t>(bytes, kTextBytes.at);
  const auto vocab = number_at<uint64_t>(bytes, kVocabulary.at);
  if (text > uint64_t{1} << 62) reject(name, kTextBytes, fmt::format("{} bytes of text", text));
  if (vocab < 1 || vocab > (width == 2 ? uint64_t{65536} : uint64_t{1} << 31)) {
    reject(name, kVocabulary, fmt::format("a vocabulary of {} for ids of {} bytes", vocab, width));
  }
  const auto flags = number_at<uint32_t>(bytes, kFlags.at);
  if (flags > kContinues) reject(name, kFlags, fmt::format("unknown flags {:#x}", flags));
  if (number_at<uint32_t>(bytes, 52) != 0 || number_at<uint64_t>(bytes, 120) != 0) {
    reject(name, number_at<uint32_t>(bytes, 52) != 0 ? 52 : 120, "zeros: there is something else");
  }
  ShardHeader header;
  header.width = static_cast<int>(width);
  header.tokens = static_cast<int64_t>(tokens);
  header.documents = static_cast<int64_t>(documents);
  header.text_bytes = static_cast<int64_t>(text);
  header.vocab_size = static_cast<int64_t>(vocab);
  header.continues = (flags & kContinues) != 0;
  header.tokenizer = hexadecimal(bytes.subspan(56, kSumBytes));
  header.content_sum = hexadecimal(bytes.subspan(88, kSumBytes));
  return header;
}

TokenPiece read_shard(std::span<const std::byte> bytes, const std::string& name,
                      std::shared_ptr<const void> owner) {
  const ShardHeader header = read_shard_header(bytes, name);
  HEED_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % alignof(uint64_t) == 0,
             "token shard: its memory is not aligned");
  const auto documents = static_cast<size_t>(header.documents);
  TokenPiece piece;
  piece.owner = std::move(owner);
  piece.starts = {reinterpret_cast<const uint64_t*>(bytes.data() + kShardHeader), documents};
  piece.ids = bytes.data() + kShardHeader + 8 * documents;
  piece.width = header.width;
  piece.count = header.tokens;
  piece.name = name;
  for (size_t i = 0; i < documents; ++i) {
    const bool ascends = i == 0 || piece.starts[i] > piece.starts[i - 1];
    if (ascends && piece.starts[i] < static_cast<uint64_t>(header.tokens)) continue;
    reject(name, kShardHeader + 8 * i,
           fmt::format("document {} begins at token {} of {}{}", i, piece.starts[i], header.tokens,
                       ascends ? "" : ", not behind the one before"));
  }
  const bool from_first = documents > 0 && piece.starts[0] == 0;
  if (header.tokens > 0 && from_first == header.continues) {
    reject(name, 48,
           header.continues ? "the shard goes on with a document, and begins one"
                            : "its first token begins no document");
  }
  return piece;
}

bool shard_is_whole(std::span<const std::byte> bytes, const ShardHeader& header) {
  Sha256 sum;
  const auto content = bytes.subspan(kShardHeader);
  sum.update(content.data(), content.size());
  return sum.finish() == header.content_sum;
}

ShardHeader write_shard(const std::string& path, const ShardContent& content,
                        const Tokenizer& tokenizer, const std::string& digest) {
  ShardHeader header;
  header.vocab_size = tokenizer.vocab_size();
  header.width = id_width(header.vocab_size);
  header.tokens = static_cast<int64_t>(content.ids.size());
  header.documents = static_cast<int64_t>(content.starts.size());
  header.text_bytes = content.text_bytes;
  header.continues = content.continues;
  header.tokenizer = digest;
  const std::string ids =
      header.width == 2 ? id_bytes<uint16_t>(content.ids) : id_bytes<uint32_t>(content.ids);
  Sha256 sum;
  const size_t start_bytes = content.starts.size() * sizeof(uint64_t);
  sum.update(content.starts.data(), start_bytes);
  sum.update(ids.data(), ids.size());
  header.content_sum = sum.finish();
  AtomicFile file(path);
  file.write(header_bytes(header));
  file.write(content.starts.data(), start_bytes);
  file.write(ids);
  file.commit();
  return header;
}

}  // namespace heed::data
