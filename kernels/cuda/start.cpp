#include <utility>

#include "core/cuda/runtime.h"
#include "kernels/cuda/provide.h"

namespace heed {

namespace kernels::cuda {

void provide_kernels() {
  provide_copy();
  provide_unary();
  provide_binary();
  provide_parametric();
  provide_compare();
  provide_reduce();
  provide_softmax();
  provide_norm();
  provide_cross_entropy();
  provide_optim();
  provide_dropout();
  provide_index();
  provide_rotary();
  provide_scan();
  provide_pool();
  provide_channel_norm();
  provide_sort();
  provide_conv();
  provide_separable();
  provide_product();
  provide_attention();
  provide_adafactor();
  provide_shared_cross_entropy();
  provide_cholesky();
  provide_gram_solve();
  provide_linear_forward();
  provide_linear_backward();
  provide_rnn();
  provide_fft();
  provide_merge();
  provide_pointwise();
  provide_distribution();
  provide_l2_normalize();
}

}  // namespace kernels::cuda

namespace cuda {

// Called at the first use of a device (core/device_runtime.cpp).
void start();
void start() {
  auto runtime = make_runtime();
  kernels::cuda::provide_kernels();  // before the runtime, from which other threads see them
  provide_device_runtime(std::move(runtime));
}

}  // namespace cuda
}  // namespace heed
