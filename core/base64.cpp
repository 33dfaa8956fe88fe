#include "core/base64.h"

#include <openssl/evp.h>

namespace heed {

std::string to_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // and the function's final 0
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.empty()) return std::string();
  const size_t end = text.find('=');  // at most two at the end
  if (text.size() % 4 != 0 || (end != std::string_view::npos && text.size() - end > 2) ||
      text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") !=
          std::string_view::npos ||
      (end != std::string_view::npos && end + 2 == text.size() && text.back() != '=')) {
    return {};
  }
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return {};
  bytes.resize(bytes.size() - (end == std::string_view::npos ? 0 : text.size() - end));
  return bytes;
}

}  // namespace heed
