// SHA-256 (FIPS 180-4), as hexadecimal digits like sha256sum prints.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace heed {

/// Sums bytes as they come.
class Sha256 {
 public:
  Sha256();
  ~Sha256();

  void update(const void* data, size_t bytes);
  /// 64 lower-case digits; ends the sum.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256(std::string_view bytes);
/// Throws RequestError when the file cannot be read.
std::string sha256_file(const std::string& path);

}  // namespace heed
