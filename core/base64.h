// Base64 (RFC 4648): bytes in printable characters.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace heed {

std::string to_base64(std::string_view bytes);
/// The bytes; nothing when the text is not base64 with its padding.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace heed
