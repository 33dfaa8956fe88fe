#include "kernels/attention/cuda/hopper/backward.h"
#include "kernels/attention/cuda/hopper/backward_queries.h"

namespace heed::kernels::cuda {

void backward_queries_hopper(const HopperCall& h) {
  with_hopper_instance(h.call, [&](auto width, auto terms) {
    constexpr int kWidth = decltype(width)::value;
    launch_hopper<BackwardQueriesShape<kWidth>>(
        attention_backward_queries_hopper<kWidth, decltype(terms)::value != 0>, h);
  });
}

}  // namespace heed::kernels::cuda
