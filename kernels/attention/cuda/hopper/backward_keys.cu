#include "kernels/attention/cuda/hopper/backward.h"
#include "kernels/attention/cuda/hopper/backward_keys.h"

namespace heed::kernels::cuda {

void backward_keys_hopper(const HopperCall& h) {
  const auto run = [&](auto width, auto terms) {
    constexpr int kWidth = decltype(width)::value;
    launch_hopper<BackwardKeysShape<kWidth>>(
        attention_backward_keys_hopper<kWidth, decltype(terms)::value != 0>, h);
  };
  if (widest(h.call) > 64) return run(Count<128>(), Count<0>());
  with_terms(h.call, Count<64>(), run);
}

}  // namespace heed::kernels::cuda
