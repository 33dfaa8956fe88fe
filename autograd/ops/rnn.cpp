#include "autograd/ops/rnn.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/trace.h"
#include "kernels/copy/copy.h"
#include "kernels/rnn/rnn.h"

namespace heed {
namespace {

RnnResult run(kernels::RnnCell cell, const char* op, const Tensor& x, const RnnWeights& weights,
              const RnnOptions& options, const Tensor& h0, const Tensor& c0) {
  HEED_CHECK(x.rank() == 3, "{}: x {}; need [B, N, C]", op, x);
  trace::AsOne one;
  const DType dtype = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor gates_x = cast(linear(x, weights.weight_ih, weights.bias_ih), dtype);
  const auto wide = [dtype](const Tensor& t) { return t.defined() ? cast(t, dtype) : t; };
  const Tensor w = wide(weights.weight_hh), b = wide(weights.bias_hh), h = wide(h0), c = wide(c0);

  const kernels::RnnScan scan{cell, options.lengths, options.reverse};
  const kernels::RnnForward forward = kernels::rnn_scan(gates_x, h, c, w, b, scan);
  std::vector<Tensor> outputs{forward.out, forward.state};
  if (cell == kernels::RnnCell::lstm) outputs.push_back(forward.cell_state);
  outputs = record_many(op, {gates_x, h, c, w, b}, outputs,
                        [forward, w = save(w), scan](const Gradients& dys, const Wanted& wanted) {
                          const Tensor dcell = dys.size() > 2 ? dys[2] : Tensor();
                          const kernels::RnnGradients g =
                              kernels::rnn_scan_backward(dys[0], dys[1], dcell, forward, *w, scan);
                          Gradients grads{g.gates_x, g.h0, g.c0, g.weight, g.bias};
                          for (int i = 0; i < 5; ++i) {
                            if (!wanted[i]) grads[static_cast<size_t>(i)] = Tensor();
                          }
                          return grads;
                        });
  RnnResult result{cast(outputs[0], x.dtype()), cast(outputs[1], x.dtype()), {}};
  if (outputs.size() > 2) result.cell_state = cast(outputs[2], x.dtype());
  std::vector<Tensor> results{result.out, result.state};
  if (result.cell_state.defined()) results.push_back(result.cell_state);
  one.report(op,
             {x, weights.weight_ih, weights.weight_hh, weights.bias_ih, weights.bias_hh, h0, c0,
              options.counts},
             results,
             {{"reverse", options.reverse},
              {"lengths", options.counts.defined() ? std::vector<int64_t>() : options.lengths}});
  return result;
}

}  // namespace

RnnResult gru(const Tensor& x, const RnnWeights& weights, const RnnOptions& options,
              const Tensor& h0) {
  return run(kernels::RnnCell::gru, "gru", x, weights, options, h0, {});
}

RnnResult lstm(const Tensor& x, const RnnWeights& weights, const RnnOptions& options,
               const Tensor& h0, const Tensor& c0) {
  return run(kernels::RnnCell::lstm, "lstm", x, weights, options, h0, c0);
}

}  // namespace heed
