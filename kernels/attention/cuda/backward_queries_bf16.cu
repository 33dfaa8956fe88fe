#include "kernels/attention/cuda/backward_queries.h"
#include "kernels/attention/cuda/launches.h"

namespace heed::kernels::cuda {

void backward_queries_bf16(const FusedCall& c) {
  with_bf16_instance(c, [&](auto width, auto terms) {
    launch_backward_queries<bfloat16, decltype(width)::value, decltype(terms)::value != 0>(c);
  });
}

}  // namespace heed::kernels::cuda
