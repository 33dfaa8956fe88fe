// Tensor: a value-semantic handle to shape, strides, dtype, device and shared storage, plus
// optional autograd state. Copies of the handle are the same tensor; views share storage.
//
// Views without gradients are free functions in namespace heed::views (core/views.h); the
// differentiable ones of the same names are in namespace heed (autograd/ops/).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/device.h"
#include "core/dtype.h"
#include "core/shape.h"

namespace heed {

/// What the tape hangs on a tensor (autograd/tape.h defines the content).
struct AutogradState {
  virtual ~AutogradState() = default;
};

class Tensor {
 public:
  /// Undefined: holds nothing, `defined()` is false.
  Tensor() = default;

  /// Uninitialised memory.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = kCpu);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = kCpu);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32,
                     Device device = kCpu);
  /// Copies `values` (row-major); throws unless their count is the shape's.
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape);
  /// A 0-dimensional tensor.
  template <class T>
  static Tensor scalar(T value) {
    return from(std::vector<T>{value}, Shape{});
  }
  /// A tensor over existing storage; offset and strides in elements.
  static Tensor over(std::shared_ptr<Storage> storage, int64_t offset, const Shape& shape,
                     const Shape& strides, DType dtype);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const { return impl().shape; }
  const Shape& strides() const { return impl().strides; }
  int rank() const { return impl().shape.rank(); }
  /// Extent of a dimension; negative counts from the end; throws when out of range.
  int64_t size(int dim) const { return shape()[shape().dim_index(dim, "size")]; }
  int64_t stride(int dim) const { return strides()[shape().dim_index(dim, "stride")]; }
  int64_t numel() const { return impl().numel; }
  int64_t bytes() const { return numel() * static_cast<int64_t>(size_of(dtype())); }
  DType dtype() const { return impl().dtype; }
  Device device() const { return impl().storage->device; }
  bool is_contiguous() const;

  /// Pointer to the first element; throws when T is not the tensor's dtype.
  template <class T>
  T* data() const;
  /// Pointer to the first element, whatever the dtype.
  void* raw() const;
  const std::shared_ptr<Storage>& storage() const { return impl().storage; }
  int64_t offset() const { return impl().offset; }

  /// The only element, as a double; throws unless there is exactly one.
  double item() const;
  /// All elements in row-major order, converted to T.
  template <class T>
  std::vector<T> to_vector() const;

  /// The same values and strides on another device; this tensor itself when it is there already. A
  /// view brings all the memory between its first and its last element. Without gradients: models
  /// use heed::to (autograd/ops/layout.h).
  Tensor to(Device device) const;

  /// The same memory without the autograd state.
  Tensor detach() const;
  /// True when both handles are the same tensor (not merely equal).
  bool is_same(const Tensor& other) const { return impl_ == other.impl_; }

  /// True when no other handle or tensor holds the memory: it may be overwritten unseen.
  bool is_sole_owner() const { return impl_.use_count() == 1 && impl().storage.use_count() == 1; }

  /// How often the memory was changed in place.
  uint64_t version() const { return impl().storage->version; }
  /// Called by every op that changes a tensor in place.
  void bump_version() const { ++impl().storage->version; }

  const std::shared_ptr<AutogradState>& autograd() const { return impl().autograd; }
  void set_autograd(std::shared_ptr<AutogradState> state) const;

  /// "f32[2, 3]", with "undefined" for an undefined tensor.
  std::string to_string() const;

 private:
  struct Impl {
    std::shared_ptr<Storage> storage;
    int64_t offset = 0;
    int64_t numel = 0;
    Shape shape;
    Shape strides;
    DType dtype = DType::f32;
    std::shared_ptr<AutogradState> autograd;
  };

  Impl& impl() const {
    if (impl_ == nullptr) [[unlikely]]
      fail("an undefined tensor was used");
    return *impl_;
  }

  std::shared_ptr<Impl> impl_;
};

template <class T>
T* Tensor::data() const {
  HEED_CHECK(dtype() == dtype_of<std::remove_const_t<T>>(), "a tensor of {} was read as {}",
             name_of(dtype()), name_of(dtype_of<std::remove_const_t<T>>()));
  return static_cast<T*>(raw());
}

}  // namespace heed

template <>
struct fmt::formatter<heed::Tensor> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const heed::Tensor& tensor, Context& context) const {
    return fmt::formatter<std::string>::format(tensor.to_string(), context);
  }
};
