#include "kernels/attention/cuda/forward.h"
#include "kernels/attention/cuda/launches.h"

namespace heed::kernels::cuda {

void forward_f32(const FusedCall& c) {
  with_f32_instance(c, [&](auto width) { launch_forward<float, decltype(width)::value, true>(c); });
}

}  // namespace heed::kernels::cuda
