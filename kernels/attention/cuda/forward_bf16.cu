#include "kernels/attention/cuda/forward.h"
#include "kernels/attention/cuda/launches.h"

namespace heed::kernels::cuda {

void forward_bf16(const FusedCall& c) {
  with_bf16_instance(c, [&](auto width, auto terms) {
    launch_forward<bfloat16, decltype(width)::value, decltype(terms)::value != 0>(c);
  });
}

}  // namespace heed::kernels::cuda
