#include "core/checksum.h"

#include <openssl/evp.h>

#include <algorithm>
#include <span>

#include "core/files.h"

namespace heed {

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  HEED_CHECK(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) == 1,
             "SHA-256 is not available in OpenSSL");
}

Sha256::~Sha256() = default;

void Sha256::update(const void* data, size_t bytes) {
  HEED_CHECK(EVP_DigestUpdate(context_->evp, data, bytes) == 1, "SHA-256 failed");
}

std::string Sha256::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  HEED_CHECK(EVP_DigestFinal_ex(context_->evp, digest, &length) == 1, "SHA-256 failed");
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256(std::string_view bytes) {
  Sha256 sum;
  sum.update(bytes.data(), bytes.size());
  return sum.finish();
}

std::string sha256_file(const std::string& path) {
  constexpr size_t kPiece = size_t{1} << 26;  // so that a file may be larger than the memory
  const MappedFile file(path);
  Sha256 sum;
  for (std::span<std::byte> rest = file.bytes(); !rest.empty();) {
    const auto piece = rest.first(std::min(rest.size(), kPiece));
    sum.update(piece.data(), piece.size());
    file.release(piece);
    rest = rest.subspan(piece.size());
  }
  return sum.finish();
}

}  // namespace heed
