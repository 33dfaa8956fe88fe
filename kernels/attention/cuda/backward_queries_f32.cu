#include "kernels/attention/cuda/backward_queries.h"
#include "kernels/attention/cuda/launches.h"

namespace heed::kernels::cuda {

void backward_queries_f32(const FusedCall& c) {
  with_f32_instance(
      c, [&](auto width) { launch_backward_queries<float, decltype(width)::value, true>(c); });
}

}  // namespace heed::kernels::cuda
