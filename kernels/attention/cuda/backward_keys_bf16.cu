#include "kernels/attention/cuda/backward_keys.h"
#include "kernels/attention/cuda/launches.h"

namespace heed::kernels::cuda {

void backward_keys_bf16(const FusedCall& c) {
  with_bf16_instance(c, [&](auto width, auto terms) {
    launch_backward_keys<bfloat16, decltype(width)::value, decltype(terms)::value != 0>(c);
  });
}

}  // namespace heed::kernels::cuda
