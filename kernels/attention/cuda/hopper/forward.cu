#include "kernels/attention/cuda/hopper/call.h"
#include "kernels/attention/cuda/hopper/forward.h"
#include "kernels/attention/cuda/hopper/launches.h"

namespace heed::kernels::cuda {

void forward_hopper(const FusedCall& c) {
  const HopperCall h = hopper_call<false>(c, c.q, {}, c.k, c.v, c.counters);
  with_hopper_instance<256>(c, [&](auto width, auto terms) {
    constexpr int kWidth = decltype(width)::value;
    launch_hopper<ForwardShape<kWidth>>(
        attention_forward_hopper<kWidth, decltype(terms)::value != 0>, h);
  });
}

}  // namespace heed::kernels::cuda
