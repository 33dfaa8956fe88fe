#include "kernels/matmul/onednn.h"

#include <memory>
#include <unordered_map>

#include "core/random.h"
#include "kernels/onednn/onednn.h"

namespace heed::kernels {
namespace {

using dnnl::memory;

memory::desc matrix(int64_t rows, int64_t cols, DType dtype, MatrixLayout layout) {
  return memory::desc({rows, cols}, onednn::data_type(dtype),
                      layout.transposed ? memory::dims{1, layout.ld} : memory::dims{layout.ld, 1});
}

onednn::Call compile(const Product& p) {
  const memory::desc a = matrix(p.m, p.k, p.in, p.a), b = matrix(p.k, p.n, p.in, p.b);
  const memory::desc c = matrix(p.m, p.n, p.out, {p.ldc, false});
  dnnl::primitive_attr attributes = onednn::attributes();
  if (p.accumulate) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  const memory::desc bias({1, p.n}, memory::data_type::f32, memory::format_tag::ab);
  const auto description = p.bias ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c);
  const dnnl::matmul::primitive_desc plan(description, attributes, onednn::engine());
  const memory::desc scratch = plan.scratchpad_desc();
  if (!p.bias) {
    return {
        dnnl::matmul(plan), scratch, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}}};
  }
  return {dnnl::matmul(plan),
          scratch,
          {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}, {DNNL_ARG_BIAS, bias}}};
}

struct HashProduct {
  size_t operator()(const Product& p) const {
    uint64_t hash = static_cast<uint64_t>(p.in) + 8 * static_cast<uint64_t>(p.out) +
                    64 * p.accumulate + 128 * p.bias + 256 * p.a.transposed + 512 * p.b.transposed;
    for (int64_t field : {p.m, p.n, p.k, p.a.ld, p.b.ld, p.ldc}) {
      hash = mix(hash + static_cast<uint64_t>(field));
    }
    return hash;
  }
};

}  // namespace

void product_onednn(const Product& product, const void* a, const void* b, void* c,
                    const float* bias) {
  static thread_local std::unordered_map<Product, std::unique_ptr<onednn::Call>, HashProduct> cache;
  try {
    onednn::Call& call = onednn::cached(cache, product, [&] { return compile(product); });
    call.set(DNNL_ARG_SRC, a).set(DNNL_ARG_WEIGHTS, b).set(DNNL_ARG_DST, c);
    if (bias != nullptr) call.set(DNNL_ARG_BIAS, bias);
    call.run();
  } catch (const dnnl::error& error) {
    fail("gemm: oneDNN could not multiply [{}, {}] by [{}, {}] of {}: {}", product.m, product.k,
         product.k, product.n, name_of(product.in), error.what());
  }
}

}  // namespace heed::kernels
