// Memory that ends at a page which nobody may touch.
#pragma once

#include <cstddef>
#include <utility>

namespace emulation {

/// Bytes whose end, rounded up to the alignment, is the end of the last page before the guard.
class Guarded {
 public:
  Guarded() = default;
  Guarded(size_t bytes, size_t alignment);
  ~Guarded();
  Guarded(Guarded&& other) noexcept { *this = std::move(other); }
  Guarded& operator=(Guarded&& other) noexcept;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  /// 0xff everywhere: not a number in every floating type, -1 in integers.
  void poison();

 private:
  void* data_ = nullptr;
  void* mapping_ = nullptr;
  size_t bytes_ = 0, mapped_ = 0;
};

/// Dynamic shared memory that launches of this kernel may ask for.
size_t granted_shared_bytes(const void* kernel);

}  // namespace emulation
