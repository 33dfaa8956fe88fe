#include "kernels/matmul/onednn.h"

#include <omp.h>

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "core/random.h"
#include "core/tensor.h"

namespace heed::kernels {
namespace {

using dnnl::memory;

// While it lives, oneDNN plans for one thread: parallelism is ours, over tiles.
class OneThread {
 public:
  OneThread() : previous_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(previous_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int previous_;
};

memory::data_type data_type(DType dtype) {
  return dtype == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

memory::desc matrix(int64_t rows, int64_t cols, DType dtype, MatrixLayout layout) {
  return memory::desc({rows, cols}, data_type(dtype),
                      layout.transposed ? memory::dims{1, layout.ld} : memory::dims{layout.ld, 1});
}

// A generated product with its argument handles; belongs to one thread.
class Compiled {
 public:
  Compiled(const Product& p, const dnnl::engine& engine) {
    const OneThread one_thread;
    const memory::desc a = matrix(p.m, p.k, p.in, p.a), b = matrix(p.k, p.n, p.in, p.b);
    const memory::desc c = matrix(p.m, p.n, p.out, {p.ldc, false});
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (p.accumulate) {
      dnnl::post_ops sum;
      sum.append_sum(1.0f);
      attributes.set_post_ops(sum);
    }
    const memory::desc bias({1, p.n}, memory::data_type::f32, memory::format_tag::ab);
    const auto description =
        p.bias ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c);
    const dnnl::matmul::primitive_desc primitive(description, attributes, engine);
    run_ = dnnl::matmul(primitive);
    arguments_ = {{DNNL_ARG_SRC, memory(a, engine, nullptr)},
                  {DNNL_ARG_WEIGHTS, memory(b, engine, nullptr)},
                  {DNNL_ARG_DST, memory(c, engine, nullptr)}};
    if (p.bias) arguments_.emplace(DNNL_ARG_BIAS, memory(bias, engine, nullptr));
    scratch_bytes_ = primitive.scratchpad_desc().get_size();
    arguments_.emplace(DNNL_ARG_SCRATCHPAD, memory(primitive.scratchpad_desc(), engine, nullptr));
  }

  void operator()(dnnl::stream& stream, const void* a, const void* b, void* c, const float* bias,
                  std::shared_ptr<Storage>& scratch) {
    set(DNNL_ARG_SRC, a);
    set(DNNL_ARG_WEIGHTS, b);
    set(DNNL_ARG_DST, c);
    if (bias != nullptr) set(DNNL_ARG_BIAS, bias);
    if (scratch_bytes_ > 0) {
      if (scratch == nullptr || scratch->bytes < scratch_bytes_) {
        scratch = std::make_shared<Storage>(scratch_bytes_, kCpu);
      }
      set(DNNL_ARG_SCRATCHPAD, scratch->data);
    }
    run_.execute(stream, arguments_);
  }

 private:
  void set(int argument, const void* data) {
    arguments_.at(argument).set_data_handle(const_cast<void*>(data));
  }

  dnnl::matmul run_;
  std::unordered_map<int, memory> arguments_;
  size_t scratch_bytes_ = 0;
};

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

// Shapes that change all the time (a growing sequence) must not fill the memory with code.
constexpr size_t kMaxCompiled = 1024;

struct PerThread {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::unordered_map<Product, std::unique_ptr<Compiled>, HashProduct> compiled;
  std::shared_ptr<Storage> scratch;
};

}  // namespace

void product_onednn(const Product& product, const void* a, const void* b, void* c,
                    const float* bias) {
  static thread_local PerThread thread;
  try {
    auto& entry = thread.compiled[product];
    if (entry == nullptr) {
      auto fresh = std::make_unique<Compiled>(product, thread.engine);
      if (thread.compiled.size() > kMaxCompiled) thread.compiled.clear();
      thread.compiled[product] = std::move(fresh);
    }
    (*thread.compiled[product])(thread.stream, a, b, c, bias, thread.scratch);
  } catch (const dnnl::error& error) {
    fail("gemm: oneDNN could not multiply [{}, {}] by [{}, {}] of {}: {}", product.m, product.k,
         product.k, product.n, name_of(product.in), error.what());
  }
}

}  // namespace heed::kernels
