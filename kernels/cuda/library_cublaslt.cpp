// Products by cuBLASLt. It counts columns first: a row-major c = a b is its c' = b' a', where a
// row-major matrix is its own transpose already.
#include <cublasLt.h>

#include <array>
#include <bit>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "core/cuda/check.h"
#include "core/cuda/stream.h"
#include "core/error.h"
#include "core/op_call.h"
#include "core/shared_library.h"
#include "core/tensor.h"
#include "kernels/cuda/provide.h"
#include "kernels/matmul/device_product.h"

namespace heed::kernels::cuda {
namespace {

constexpr size_t kWorkspace = size_t{32} << 20;

// What is called of the library, which the first product opens.
struct Cublas {
  SharedLibrary library{"libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR), HEED_CUDA_LIBRARIES,
                        "cuBLAS of CUDA " + std::to_string(CUBLAS_VER_MAJOR)};
  decltype(&cublasLtGetStatusString) get_status_string = library.find("cublasLtGetStatusString");
  decltype(&cublasLtCreate) create = library.find("cublasLtCreate");
  decltype(&cublasLtMatmulDescCreate) matmul_desc_create = library.find("cublasLtMatmulDescCreate");
  decltype(&cublasLtMatmulDescDestroy) matmul_desc_destroy =
      library.find("cublasLtMatmulDescDestroy");
  decltype(&cublasLtMatmulDescSetAttribute) matmul_desc_set_attribute =
      library.find("cublasLtMatmulDescSetAttribute");
  decltype(&cublasLtMatrixLayoutCreate) matrix_layout_create =
      library.find("cublasLtMatrixLayoutCreate");
  decltype(&cublasLtMatrixLayoutDestroy) matrix_layout_destroy =
      library.find("cublasLtMatrixLayoutDestroy");
  decltype(&cublasLtMatrixLayoutSetAttribute) matrix_layout_set_attribute =
      library.find("cublasLtMatrixLayoutSetAttribute");
  decltype(&cublasLtMatmulPreferenceCreate) matmul_preference_create =
      library.find("cublasLtMatmulPreferenceCreate");
  decltype(&cublasLtMatmulPreferenceDestroy) matmul_preference_destroy =
      library.find("cublasLtMatmulPreferenceDestroy");
  decltype(&cublasLtMatmulPreferenceSetAttribute) matmul_preference_set_attribute =
      library.find("cublasLtMatmulPreferenceSetAttribute");
  decltype(&cublasLtMatmulAlgoGetHeuristic) matmul_algo_get_heuristic =
      library.find("cublasLtMatmulAlgoGetHeuristic");
  decltype(&cublasLtMatmul) matmul = library.find("cublasLtMatmul");
};

const Cublas& cublas() {
  static const auto* opened = new Cublas;
  return *opened;
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const OpCall* call = OpCall::current();
  fail("{}: {}: {}", call == nullptr ? "cublas" : call->to_string(), what,
       cublas().get_status_string(status));
}

cudaDataType_t type_of(DType dtype) {
  if (dtype == DType::f64) return CUDA_R_64F;
  return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

// Descriptors that destroy themselves.
struct Operation {
  Operation(cublasComputeType_t compute, cudaDataType_t scale) {
    check(cublas().matmul_desc_create(&descriptor, compute, scale), "describe a product");
  }
  ~Operation() { cublas().matmul_desc_destroy(descriptor); }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    check(cublas().matmul_desc_set_attribute(descriptor, attribute, &value, sizeof value),
          "describe a product");
  }
  cublasLtMatmulDesc_t descriptor = nullptr;
};

struct Layout {
  Layout(DType dtype, int64_t rows, int64_t columns, int64_t ld, int64_t batch, int64_t stride) {
    check(cublas().matrix_layout_create(&descriptor, type_of(dtype), static_cast<uint64_t>(rows),
                                        static_cast<uint64_t>(columns), ld),
          "describe a matrix");
    const auto count = static_cast<int32_t>(batch);
    check(cublas().matrix_layout_set_attribute(descriptor, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                               &count, sizeof count),
          "describe a matrix");
    check(cublas().matrix_layout_set_attribute(
              descriptor, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
          "describe a matrix");
  }
  ~Layout() { cublas().matrix_layout_destroy(descriptor); }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  cublasLtMatrixLayout_t descriptor = nullptr;
};

// Never destroyed: the driver may be gone before static objects are.
cublasLtHandle_t handle(int device) {
  static std::mutex mutex;
  static auto* handles = new std::map<int, cublasLtHandle_t>;
  const std::lock_guard lock(mutex);
  cublasLtHandle_t& found = (*handles)[device];
  if (found == nullptr) check(cublas().create(&found), "start cuBLAS");
  return found;
}

// The largest power of two up to 256 that divides the address and the strides.
uint32_t alignment(const void* at, int64_t ld, int64_t stride, DType dtype) {
  const auto size = static_cast<uint64_t>(size_of(dtype));
  const uint64_t bits = reinterpret_cast<uintptr_t>(at) | static_cast<uint64_t>(ld) * size |
                        static_cast<uint64_t>(stride) * size | 256;
  return uint32_t{1} << std::countr_zero(bits);
}

// What the choice of a kernel depends on.
using Key = std::array<int64_t, 20>;

Key key_of(const DeviceProduct& p, int device, const std::array<uint32_t, 3>& aligned) {
  return {device,
          static_cast<int64_t>(p.in),
          static_cast<int64_t>(p.out),
          p.m,
          p.n,
          p.k,
          p.a.ld,
          p.a.transposed,
          p.b.ld,
          p.b.transposed,
          p.ldc,
          p.batch,
          p.a_stride == 0,
          p.b_stride == 0,
          p.bias != nullptr,
          static_cast<int64_t>(p.activation),
          p.before != nullptr,
          aligned[0],
          aligned[1],
          aligned[2]};
}

std::optional<cublasLtMatmulAlgo_t> choose(cublasLtHandle_t context, const Operation& operation,
                                           const Layout& b, const Layout& a, const Layout& c,
                                           const std::array<uint32_t, 3>& aligned) {
  cublasLtMatmulPreference_t preference = nullptr;
  check(cublas().matmul_preference_create(&preference), "choose a kernel");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(cublas().matmul_preference_set_attribute(preference, attribute, &value, sizeof value),
          "choose a kernel");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspace});
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned[0]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned[1]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned[2]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned[2]);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const cublasStatus_t status = cublas().matmul_algo_get_heuristic(
      context, operation.descriptor, b.descriptor, a.descriptor, c.descriptor, c.descriptor,
      preference, 1, &result, &found);
  cublas().matmul_preference_destroy(preference);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0)) {
    return std::nullopt;
  }
  check(status, "choose a kernel");
  return result.algo;
}

void set_epilogue(const DeviceProduct& p, Operation& operation) {
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  if (p.activation == Activation::relu) epilogue = CUBLASLT_EPILOGUE_RELU;
  if (p.activation == Activation::gelu_tanh) {
    epilogue = p.before != nullptr ? CUBLASLT_EPILOGUE_GELU_AUX : CUBLASLT_EPILOGUE_GELU;
  }
  if (p.bias != nullptr) {
    epilogue = epilogue == CUBLASLT_EPILOGUE_DEFAULT ? uint32_t{CUBLASLT_EPILOGUE_BIAS}
                                                     : epilogue | CUBLASLT_EPILOGUE_BIAS;
    operation.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
    operation.set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(p.out));
  }
  if (p.before != nullptr) {
    operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.before);
    operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p.ldc);
    operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, type_of(p.out));
  }
  operation.set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
}

bool run(const DeviceProduct& p) {
  if (p.before != nullptr && p.ldc % 8 != 0) return false;  // the library's rule for such rows
  int device = 0;
  heed::cuda::check(cudaGetDevice(&device), "current device");
  const bool f64 = p.in == DType::f64;
  Operation operation(f64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F, f64 ? CUDA_R_64F : CUDA_R_32F);
  operation.set(CUBLASLT_MATMUL_DESC_TRANSA, p.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  operation.set(CUBLASLT_MATMUL_DESC_TRANSB, p.a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set_epilogue(p, operation);
  const Layout b(p.in, p.b.transposed ? p.k : p.n, p.b.transposed ? p.n : p.k, p.b.ld, p.batch,
                 p.b_stride);
  const Layout a(p.in, p.a.transposed ? p.m : p.k, p.a.transposed ? p.k : p.m, p.a.ld, p.batch,
                 p.a_stride);
  const Layout c(p.out, p.n, p.m, p.ldc, p.batch, p.c_stride);

  static std::mutex mutex;
  static auto* choices = new std::map<Key, std::optional<cublasLtMatmulAlgo_t>>;
  const std::array<uint32_t, 3> aligned = {alignment(p.b_data, p.b.ld, p.b_stride, p.in),
                                           alignment(p.a_data, p.a.ld, p.a_stride, p.in),
                                           alignment(p.c_data, p.ldc, p.c_stride, p.out)};
  std::optional<cublasLtMatmulAlgo_t> algorithm;
  {
    const std::lock_guard lock(mutex);
    const Key key = key_of(p, device, aligned);
    auto found = choices->find(key);
    if (found == choices->end()) {
      found = choices->emplace(key, choose(handle(device), operation, b, a, c, aligned)).first;
    }
    algorithm = found->second;
  }
  if (!algorithm) {
    if (p.bias != nullptr || p.activation != Activation::none) return false;
    heed::cuda::fail_op("cuBLASLt has no kernel for this product");
  }
  const Tensor workspace = Tensor::empty({static_cast<int64_t>(kWorkspace)}, DType::u8,
                                         Device{DeviceType::cuda, device});
  const double one64 = 1, beta64 = p.accumulate ? 1 : 0;
  const float one32 = 1, beta32 = p.accumulate ? 1 : 0;
  const void* alpha = f64 ? static_cast<const void*>(&one64) : &one32;
  const void* beta = f64 ? static_cast<const void*>(&beta64) : &beta32;
  check(
      cublas().matmul(handle(device), operation.descriptor, alpha, p.b_data, b.descriptor, p.a_data,
                      a.descriptor, beta, p.c_data, c.descriptor, p.c_data, c.descriptor,
                      &*algorithm, workspace.raw(), kWorkspace, heed::cuda::current_stream()),
      "product");
  return true;
}

}  // namespace

void provide_product() { product_cuda.provide(run); }

}  // namespace heed::kernels::cuda
