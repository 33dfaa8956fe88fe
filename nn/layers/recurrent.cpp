#include "nn/layers/recurrent.h"

#include <cmath>

#include "autograd/ops/view.h"
#include "nn/attention/lengths.h"
#include "nn/init.h"

namespace heed::nn {

void RecurrentOptions::options(Options& o) {
  o.field("in", in, "features of the input", {.min = 1, .required = true});
  o.field("hidden", hidden, "features of the state", {.min = 1, .required = true});
  o.field("layers", layers, "layers, each over the one below", {.min = 1});
  o.field("bidirectional", bidirectional, "also run backwards; the output holds both states");
  o.field("bias", bias, "biases of the gates");
  o.field("dropout", dropout, "dropout between layers", {.min = 0, .below = 1});
}

RecurrentCell::RecurrentCell(int64_t gates, int64_t in, int64_t hidden, bool with_bias)
    : weight_ih(Tensor::empty({gates * hidden, in})),
      weight_hh(Tensor::empty({gates * hidden, hidden})) {
  const Init uniform = init::linear_default(hidden);
  parameters({{"weight_ih", weight_ih, uniform}, {"weight_hh", weight_hh, uniform}});
  if (!with_bias) return;
  bias_ih = Tensor::empty({gates * hidden});
  bias_hh = Tensor::empty({gates * hidden});
  parameters({{"bias_ih", bias_ih, uniform}, {"bias_hh", bias_hh, uniform}});
}

Recurrent::Recurrent(Kind kind, const RecurrentOptions& o)
    : kind_(kind),
      directions_(o.bidirectional ? 2 : 1),
      width_(o.hidden * (o.bidirectional ? 2 : 1)) {
  HEED_CHECK(o.in > 0 && o.hidden > 0 && o.layers > 0,
             "recurrent: needs positive in, hidden and layers, got {}, {}, {}", o.in, o.hidden,
             o.layers);
  for (int64_t layer = 0; layer < o.layers; ++layer) {
    for (int64_t direction = 0; direction < directions_; ++direction) {
      cells.emplace(kind == Kind::gru ? 3 : 4, layer == 0 ? o.in : width_, o.hidden, o.bias);
    }
    if (layer > 0) dropouts.emplace(o.dropout);
  }
  children({{"cells", cells}, {"dropouts", dropouts}});
}

Recurrent::Result Recurrent::run(const Tensor& x, const Tensor& lengths) {
  HEED_CHECK(x.rank() == 3, "recurrent: wants [B, N, C], got {}", x);
  const Tensor counts = checked_lengths(lengths, x.size(0), x.size(1));
  RnnOptions how;
  if (counts.defined()) how.lengths = counts.to_vector<int64_t>();
  how.counts = counts;
  const auto directions = static_cast<size_t>(directions_);
  Result result{x, {}};
  for (size_t first = 0; first < cells.size(); first += directions) {
    if (first > 0) result.out = dropouts[first / directions - 1](result.out);
    std::vector<Tensor> outs, states;
    for (size_t direction = 0; direction < directions; ++direction) {
      how.reverse = direction == 1;
      const RnnWeights weights = cells[first + direction].weights();
      const RnnResult one =
          kind_ == Kind::gru ? gru(result.out, weights, how) : lstm(result.out, weights, how);
      outs.push_back(one.out);
      states.push_back(one.state);
    }
    result.out = directions == 1 ? outs[0] : concat(outs, 2);
    result.state = directions == 1 ? states[0] : concat(states, 1);
  }
  return result;
}

double Recurrent::flops_per_token() const {
  double total = 0.0;
  for (const auto& cell : cells) {
    total += 2.0 * static_cast<double>(cell->weight_ih.numel() + cell->weight_hh.numel());
  }
  return total;
}

}  // namespace heed::nn
