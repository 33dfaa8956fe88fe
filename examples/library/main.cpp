// Fits a small network to y = sin(x), with heed as a library.
#include <cmath>
#include <cstdio>
#include <vector>

#include "autograd/ops.h"
#include "nn/layers/linear.h"
#include "optim/optimizer.h"

struct Network : heed::nn::Module {
  Network() : first(1, 32), second(32, 1) { children({{"first", first}, {"second", second}}); }
  heed::Tensor forward(const heed::Tensor& x) {  // [N, 1] -> [N, 1]
    return second(heed::tanh(first(x)));
  }
  heed::nn::Linear first, second;
};

int main() {
  std::vector<float> points, values;
  for (int i = 0; i < 256; ++i) {
    points.push_back(-3.0f + 6.0f * static_cast<float>(i) / 255.0f);
    values.push_back(std::sin(points.back()));
  }
  const auto x = heed::Tensor::from(points, {256, 1});
  const auto y = heed::Tensor::from(values, {256, 1});

  Network network;
  network.initialise(/*seed=*/1);
  const auto optimizer =
      heed::optim::make_optimizer({.type = "adam"}, heed::nn::trained_tensors(network));
  for (int step = 1; step <= 500; ++step) {
    const heed::Tensor loss = mean(square(network.forward(x) - y));
    optimizer->zero_grad();
    backward(loss);
    optimizer->step(/*lr=*/1e-2);
    if (step % 100 == 0) std::printf("step %d  loss %.6f\n", step, loss.item());
  }
}
