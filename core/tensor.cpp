#include "core/tensor.h"

#include <cstring>

#include "core/device_runtime.h"
#include "core/tensor_bytes.h"
#include "core/views.h"

namespace heed {
namespace {

// Visits every element of a strided tensor in row-major order with its offset in elements.
template <class Fn>
void for_each_offset(const Shape& shape, const Shape& strides, Fn&& fn) {
  const int64_t numel = shape.numel();
  Shape index = shape;
  for (int64_t& i : index) i = 0;
  int64_t offset = 0;
  for (int64_t n = 0; n < numel; ++n) {
    fn(offset);
    for (int d = shape.rank() - 1; d >= 0; --d) {
      offset += strides[d];
      if (++index[d] < shape[d]) break;
      offset -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
}

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, bfloat16> || std::is_same_v<To, float16>) {
    return To(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  for (int64_t extent : shape) HEED_CHECK(extent >= 0, "a tensor of shape {}", shape);
  int64_t bytes = 0;
  HEED_CHECK(checked_bytes(shape, dtype, &bytes),
             "a tensor of shape {} of {} is larger than any memory", shape, name_of(dtype));
  return over(std::make_shared<Storage>(static_cast<size_t>(bytes), device), 0, shape,
              contiguous_strides(shape), dtype);
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor out = empty(shape, dtype, device);
  const auto bytes = static_cast<size_t>(out.bytes());
  if (device.is_cpu()) {
    std::memset(out.raw(), 0, bytes);
  } else if (bytes > 0) {
    device_runtime(device, "zeros").zero(device.index, out.raw(), bytes);
  }
  return out;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  if (!device.is_cpu()) return full(shape, value, dtype).to(device);
  Tensor out = empty(shape, dtype);
  dispatch_any(dtype, [&](auto type) {
    using T = decltype(type);
    std::fill_n(out.data<T>(), out.numel(), convert<T>(value));
  });
  return out;
}

Tensor Tensor::over(std::shared_ptr<Storage> storage, int64_t offset, const Shape& shape,
                    const Shape& strides, DType dtype) {
  Tensor out;
  out.impl_ = std::make_shared<Impl>();
  *out.impl_ = Impl{std::move(storage), offset, shape.numel(), shape, strides, dtype, nullptr};
  return out;
}

template <class T>
Tensor Tensor::from(const std::vector<T>& values, const Shape& shape) {
  HEED_CHECK(static_cast<int64_t>(values.size()) == shape.numel(), "{} values for shape {}",
             values.size(), shape);
  Tensor out = empty(shape, dtype_of<T>());
  std::copy(values.begin(), values.end(), out.data<T>());
  return out;
}

bool Tensor::is_contiguous() const {
  int64_t expected = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape()[i] != 1 && strides()[i] != expected) return numel() == 0;
    expected *= shape()[i];
  }
  return true;
}

void* Tensor::raw() const {
  return static_cast<char*>(impl().storage->data) +
         impl().offset * static_cast<int64_t>(size_of(impl().dtype));
}

double Tensor::item() const {
  HEED_CHECK(numel() == 1, "item() of a tensor of shape {}", shape());
  return to_vector<double>()[0];
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  if (!device().is_cpu()) return to(kCpu).to_vector<T>();
  std::vector<T> out;
  out.reserve(static_cast<size_t>(numel()));
  dispatch_any(dtype(), [&](auto type) {
    const auto* from = data<decltype(type)>();
    for_each_offset(shape(), strides(),
                    [&](int64_t offset) { out.push_back(convert<T>(from[offset])); });
  });
  return out;
}

Tensor Tensor::to(Device device) const {
  if (device == this->device()) return *this;
  int64_t span = numel() == 0 ? 0 : 1;  // elements from the first to the last
  for (int d = 0; d < rank() && span > 0; ++d) span += (shape()[d] - 1) * strides()[d];
  const size_t bytes = static_cast<size_t>(span) * size_of(dtype());
  auto copy = std::make_shared<Storage>(bytes, device);
  copy_bytes(device, copy->data, this->device(), raw(), bytes);
  return over(std::move(copy), 0, shape(), strides(), dtype());
}

Tensor Tensor::detach() const {
  Tensor out;
  out.impl_ = std::make_shared<Impl>(impl());
  out.impl_->autograd = nullptr;
  return out;
}

void Tensor::set_autograd(std::shared_ptr<AutogradState> state) const {
  impl().autograd = std::move(state);
}

std::string Tensor::to_string() const {
  return defined() ? fmt::format("{}{}", name_of(dtype()), shape()) : "undefined";
}

#define HEED_INSTANTIATE(T)                                             \
  template Tensor Tensor::from<T>(const std::vector<T>&, const Shape&); \
  template std::vector<T> Tensor::to_vector<T>() const;
HEED_INSTANTIATE(float)
HEED_INSTANTIATE(double)
HEED_INSTANTIATE(bfloat16)
HEED_INSTANTIATE(float16)
HEED_INSTANTIATE(int32_t)
HEED_INSTANTIATE(int64_t)
HEED_INSTANTIATE(uint8_t)
HEED_INSTANTIATE(bool)
#undef HEED_INSTANTIATE

namespace views {

Tensor as_strided(const Tensor& x, const Shape& shape, const Shape& strides, int64_t offset) {
  return Tensor::over(x.storage(), x.offset() + offset, shape, strides, x.dtype());
}

bool can_reshape(const Tensor& x, const Shape& shape, Shape* strides) {
  // Walk both shapes from the end, matching groups of old dimensions that are contiguous among
  // themselves with groups of new ones.
  Shape out = contiguous_strides(shape);
  int new_dim = shape.rank() - 1;
  int64_t group_stride = 1, group_old = 1, group_new = 1;
  if (x.numel() == 0) {
    *strides = out;
    return true;
  }
  int last = -1;
  for (int d = x.rank() - 1; d >= 0; --d) {
    if (x.shape()[d] == 1) continue;
    if (last < 0) {
      group_stride = x.strides()[d];
      last = d;
    } else if (x.strides()[d] != group_stride * group_old) {
      // a break in memory: the new dimensions so far must fill the group exactly
      while (new_dim >= 0 && group_new < group_old) {
        out[new_dim] = group_new * group_stride;
        group_new *= shape[new_dim--];
      }
      if (group_new != group_old) return false;
      group_stride = x.strides()[d];
      group_old = group_new = 1;
    }
    group_old *= x.shape()[d];
  }
  for (; new_dim >= 0; --new_dim) {
    out[new_dim] = group_new * group_stride;
    group_new *= shape[new_dim];
  }
  if (group_new != group_old) return false;
  *strides = out;
  return true;
}

Shape infer_shape(const Tensor& x, const Shape& shape, const char* op) {
  Shape out = shape;
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == -1) {
      HEED_CHECK(unknown < 0, "{}: more than one -1 in {}", op, shape);
      unknown = i;
    } else {
      known *= shape[i];
    }
  }
  if (unknown >= 0 && known > 0) out[unknown] = x.numel() / known;
  HEED_CHECK(out.numel() == x.numel(), "{}: shape {} holds {} elements, {} asks for {}", op,
             x.shape(), x.numel(), shape, out.numel());
  return out;
}

Tensor reshape(const Tensor& x, const Shape& wanted) {
  const Shape shape = infer_shape(x, wanted, "reshape");
  Shape strides;
  HEED_CHECK(can_reshape(x, shape, &strides),
             "views::reshape: {} with strides {} cannot be viewed as {} without a copy", x,
             x.strides(), shape);
  return as_strided(x, shape, strides);
}

Tensor transpose(const Tensor& x, int a, int b) {
  a = x.shape().dim_index(a, "transpose");
  b = x.shape().dim_index(b, "transpose");
  Shape shape = x.shape(), strides = x.strides();
  std::swap(shape[a], shape[b]);
  std::swap(strides[a], strides[b]);
  return as_strided(x, shape, strides);
}

Tensor permute(const Tensor& x, const std::vector<int>& order) {
  HEED_CHECK(static_cast<int>(order.size()) == x.rank(), "permute: order of {} dimensions for {}",
             order.size(), x);
  Shape shape = x.shape(), strides = x.strides();
  unsigned seen = 0;
  for (int i = 0; i < x.rank(); ++i) {
    const int from = x.shape().dim_index(order[i], "permute");
    HEED_CHECK(!(seen & (1u << from)), "permute: dimension {} named twice", from);
    seen |= 1u << from;
    shape[i] = x.shape()[from];
    strides[i] = x.strides()[from];
  }
  return as_strided(x, shape, strides);
}

Tensor slice(const Tensor& x, int dim, int64_t begin, int64_t end, int64_t step) {
  dim = x.shape().dim_index(dim, "slice");
  const int64_t extent = x.shape()[dim];
  if (begin < 0) begin += extent;
  if (end < 0) end += extent;
  HEED_CHECK(step > 0 && 0 <= begin && begin <= end && end <= extent,
             "slice: [{}:{}:{}] of dimension {} of {}", begin, end, step, dim, x);
  Shape shape = x.shape(), strides = x.strides();
  shape[dim] = (end - begin + step - 1) / step;
  strides[dim] *= step;
  return as_strided(x, shape, strides, begin * x.strides()[dim]);
}

Tensor select(const Tensor& x, int dim, int64_t index) {
  dim = x.shape().dim_index(dim, "select");
  if (index < 0) index += x.shape()[dim];
  HEED_CHECK(index >= 0 && index < x.shape()[dim], "select: index {} of dimension {} of {}", index,
             dim, x);
  Shape shape = x.shape(), strides = x.strides();
  shape.erase(dim);
  strides.erase(dim);
  return as_strided(x, shape, strides, index * x.strides()[dim]);
}

Tensor expand(const Tensor& x, const Shape& shape) {
  HEED_CHECK(shape.rank() >= x.rank(), "expand: {} to {}", x, shape);
  Shape strides = shape;
  const int shift = shape.rank() - x.rank();
  for (int i = 0; i < shape.rank(); ++i) {
    if (i < shift || (x.shape()[i - shift] == 1 && shape[i] != 1)) {
      strides[i] = 0;
    } else {
      HEED_CHECK(x.shape()[i - shift] == shape[i], "expand: {} to {}", x, shape);
      strides[i] = x.strides()[i - shift];
    }
  }
  return as_strided(x, shape, strides);
}

Tensor squeeze(const Tensor& x, int dim) {
  dim = x.shape().dim_index(dim, "squeeze");
  HEED_CHECK(x.shape()[dim] == 1, "squeeze: dimension {} of {} is not 1", dim, x);
  return select(x, dim, 0);
}

Tensor unsqueeze(const Tensor& x, int dim) {
  Shape shape = x.shape(), strides = x.strides();
  if (dim < 0) dim += x.rank() + 1;
  HEED_CHECK(dim >= 0 && dim <= x.rank(), "unsqueeze: dimension {} for {}", dim, x);
  strides.insert(dim, dim < x.rank() ? shape[dim] * strides[dim] : 1);
  shape.insert(dim, 1);
  return as_strided(x, shape, strides);
}

}  // namespace views
}  // namespace heed
