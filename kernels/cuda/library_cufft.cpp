// Transforms by cuFFT. A plan is made for the first transform of its kind and kept; while a
// transform is put on the stream it is that thread's alone. What a plan works in comes from the
// stream-ordered pool, as every tensor does.
#include <cufft.h>

#include <array>
#include <map>
#include <mutex>
#include <string>

#include "core/cuda/check.h"
#include "core/cuda/stream.h"
#include "core/error.h"
#include "core/op_call.h"
#include "core/shared_library.h"
#include "core/tensor.h"
#include "kernels/cuda/provide.h"
#include "kernels/fft/device_fft.h"

namespace heed::kernels::cuda {
namespace {

// What is called of the library, which the first transform opens.
struct Cufft {
  SharedLibrary library{"libcufft.so." + std::to_string(CUFFT_VER_MAJOR), HEED_CUDA_LIBRARIES,
                        "the cuFFT of CUDA " + std::to_string(CUDART_VERSION / 1000)};
  decltype(&cufftCreate) create = library.find("cufftCreate");
  decltype(&cufftDestroy) destroy = library.find("cufftDestroy");
  decltype(&cufftSetAutoAllocation) set_auto_allocation = library.find("cufftSetAutoAllocation");
  decltype(&cufftMakePlanMany64) make_plan_many = library.find("cufftMakePlanMany64");
  decltype(&cufftSetStream) set_stream = library.find("cufftSetStream");
  decltype(&cufftSetWorkArea) set_work_area = library.find("cufftSetWorkArea");
  decltype(&cufftExecC2C) c2c = library.find("cufftExecC2C");
  decltype(&cufftExecZ2Z) z2z = library.find("cufftExecZ2Z");
  decltype(&cufftExecR2C) r2c = library.find("cufftExecR2C");
  decltype(&cufftExecD2Z) d2z = library.find("cufftExecD2Z");
  decltype(&cufftExecC2R) c2r = library.find("cufftExecC2R");
  decltype(&cufftExecZ2D) z2d = library.find("cufftExecZ2D");
};

const Cufft& cufft() {
  static const auto* opened = new Cufft;
  return *opened;
}

void check(cufftResult status, const char* what) {
  if (status == CUFFT_SUCCESS) return;
  const OpCall* call = OpCall::current();
  fail("{}: {}: cuFFT's error {}", call == nullptr ? "fft" : call->to_string(), what,
       static_cast<int>(status));
}

cufftType type_of(const DeviceFft& f) {
  const bool f64 = f.dtype == DType::f64;
  if (f.kind == DeviceFftKind::real) return f64 ? CUFFT_D2Z : CUFFT_R2C;
  if (f.kind == DeviceFftKind::real_inverse) return f64 ? CUFFT_Z2D : CUFFT_C2R;
  return f64 ? CUFFT_Z2Z : CUFFT_C2C;
}

struct Plan {
  cufftHandle handle = 0;
  size_t workspace = 0;  // bytes
};

Plan make_plan(const DeviceFft& f) {
  Plan plan;
  check(cufft().create(&plan.handle), "start");
  long long n[DeviceFft::kMaxRank];
  for (int i = 0; i < f.rank; ++i) n[i] = f.n[i];
  cufftResult made = cufft().set_auto_allocation(plan.handle, 0);
  if (made == CUFFT_SUCCESS) {
    made = cufft().make_plan_many(plan.handle, f.rank, n, nullptr, 1, 0, nullptr, 1, 0, type_of(f),
                                  f.batch, &plan.workspace);
  }
  if (made != CUFFT_SUCCESS) cufft().destroy(plan.handle);
  check(made, "plan");
  return plan;
}

// Device, type, batch and extents.
using Key = std::array<int64_t, 3 + DeviceFft::kMaxRank>;

Key key_of(const DeviceFft& f, int device) {
  Key key = {device, static_cast<int64_t>(type_of(f)), f.batch};
  for (int i = 0; i < f.rank; ++i) key[static_cast<size_t>(3 + i)] = f.n[i];
  return key;
}

template <class To>
To* as(void* data) {
  return static_cast<To*>(data);
}

cufftResult execute(const DeviceFft& f, cufftHandle plan) {
  const int direction = f.kind == DeviceFftKind::inverse ? CUFFT_INVERSE : CUFFT_FORWARD;
  switch (type_of(f)) {
    case CUFFT_R2C:
      return cufft().r2c(plan, as<cufftReal>(f.in), as<cufftComplex>(f.out));
    case CUFFT_D2Z:
      return cufft().d2z(plan, as<cufftDoubleReal>(f.in), as<cufftDoubleComplex>(f.out));
    case CUFFT_C2R:
      return cufft().c2r(plan, as<cufftComplex>(f.in), as<cufftReal>(f.out));
    case CUFFT_Z2D:
      return cufft().z2d(plan, as<cufftDoubleComplex>(f.in), as<cufftDoubleReal>(f.out));
    case CUFFT_Z2Z:
      return cufft().z2z(plan, as<cufftDoubleComplex>(f.in), as<cufftDoubleComplex>(f.out),
                         direction);
    default:
      return cufft().c2c(plan, as<cufftComplex>(f.in), as<cufftComplex>(f.out), direction);
  }
}

void run(const DeviceFft& f) {
  int device = 0;
  heed::cuda::check(cudaGetDevice(&device), "current device");
  static std::mutex mutex;
  static auto* plans = new std::map<Key, Plan>;  // the driver may be gone before static objects are
  const std::lock_guard lock(mutex);
  const Key key = key_of(f, device);
  auto found = plans->find(key);
  if (found == plans->end()) found = plans->emplace(key, make_plan(f)).first;
  const Plan& plan = found->second;
  const Tensor workspace = Tensor::empty({static_cast<int64_t>(plan.workspace)}, DType::u8,
                                         Device{DeviceType::cuda, device});
  check(cufft().set_work_area(plan.handle, workspace.raw()), "workspace");
  check(cufft().set_stream(plan.handle, heed::cuda::current_stream()), "stream");
  check(execute(f, plan.handle), "transform");
}

}  // namespace

void provide_fft() { fft_cuda.provide(run); }

}  // namespace heed::kernels::cuda
