#include "kernels/attention/cuda/hopper/call.h"
#include "kernels/attention/cuda/hopper/forward.h"
#include "kernels/attention/cuda/hopper/launches.h"

namespace heed::kernels::cuda {

void forward_hopper(const FusedCall& c) {
  const HopperCall h = hopper_call<false>(c, c.q, {}, c.k, c.v, c.counters);
  const auto run = [&](auto width, auto terms) {
    constexpr int kWidth = decltype(width)::value;
    launch_hopper<ForwardShape<kWidth>>(
        attention_forward_hopper<kWidth, decltype(terms)::value != 0>, h);
  };
  // wider heads leave no registers for the score's terms
  if (widest(c) > 128) return run(Count<256>(), Count<0>());
  with_hopper_instance(c, run);
}

}  // namespace heed::kernels::cuda
