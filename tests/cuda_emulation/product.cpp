// Products of the vendor's library, by the CPU's own on the same memory.
#include "core/tensor.h"
#include "cuda_runtime.h"
#include "kernels/cuda/provide.h"
#include "kernels/matmul/device_product.h"
#include "kernels/matmul/matmul.h"

namespace heed::kernels::cuda {
namespace {

// Device memory as a host tensor of one batch.
Tensor matrices(const void* data, DType dtype, const Shape& shape, const Shape& strides) {
  auto storage = std::make_shared<Storage>(const_cast<void*>(data), size_t{0},
                                           std::shared_ptr<const void>(data, [](auto*) {}));
  return Tensor::over(std::move(storage), 0, shape, strides, dtype);
}

bool run(const DeviceProduct& p) {
  const emulation::DeviceAccess access;
  const auto strides = [](int64_t batch, MatrixLayout layout) {
    return layout.transposed ? Shape{batch, 1, layout.ld} : Shape{batch, layout.ld, 1};
  };
  const Tensor a = matrices(p.a_data, p.in, {p.batch, p.m, p.k}, strides(p.a_stride, p.a));
  const Tensor b = matrices(p.b_data, p.in, {p.batch, p.k, p.n}, strides(p.b_stride, p.b));
  const auto result = [&](void* data) {
    return matrices(data, p.out, {p.batch, p.m, p.n}, {p.c_stride, p.ldc, 1});
  };
  GemmOptions options{.accumulate = p.accumulate, .activation = p.activation};
  if (p.bias != nullptr) options.bias = matrices(p.bias, p.out, {p.n}, {1});
  if (p.before != nullptr) options.activated = result(p.c_data);
  gemm(a, b, result(p.before != nullptr ? p.before : p.c_data), options);
  return true;
}

}  // namespace

void provide_product() { product_cuda.provide(run); }

}  // namespace heed::kernels::cuda
