// Each family's .cu has one function here that hands its kernels to the .cpp beside it
// (kernels/device_kernel.h).
#pragma once

namespace heed::kernels::cuda {

void provide_copy();
void provide_unary();
void provide_binary();
void provide_parametric();
void provide_compare();
void provide_reduce();
void provide_softmax();
void provide_norm();
void provide_cross_entropy();
void provide_optim();
void provide_dropout();
void provide_index();
void provide_rotary();
void provide_scan();
void provide_pool();
void provide_channel_norm();
void provide_sort();
void provide_conv();
void provide_separable();
void provide_product();
void provide_attention();
void provide_adafactor();
void provide_shared_cross_entropy();
void provide_cholesky();
void provide_gram_solve();
void provide_linear_forward();
void provide_linear_backward();
void provide_rnn();
void provide_fft();
void provide_merge();
void provide_pointwise();
void provide_distribution();
void provide_l2_normalize();

/// All of them.
void provide_kernels();

}  // namespace heed::kernels::cuda
