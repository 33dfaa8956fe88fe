// Recurrent layers over whole sequences: GRU (Cho et al., arXiv 1406.1078) and LSTM (Hochreiter &
// Schmidhuber 1997), stacked, in one or both directions, over batches of different lengths.
#pragma once

#include "autograd/ops/rnn.h"
#include "core/options.h"
#include "nn/layers/dropout.h"
#include "nn/module.h"

namespace heed::nn {

struct RecurrentOptions {
  int64_t in = 0;
  int64_t hidden = 0;
  int64_t layers = 1;
  bool bidirectional = false;
  bool bias = true;
  double dropout = 0.0;

  void options(Options& o);
};

/// One direction of one layer; gates in PyTorch's order, everything uniform in +-1/sqrt(hidden).
struct RecurrentCell : Module {
  RecurrentCell(int64_t gates, int64_t in, int64_t hidden, bool with_bias);

  RnnWeights weights() const { return {weight_ih, weight_hh, bias_ih, bias_hh}; }

  Tensor weight_ih, weight_hh;  // [gates hidden, in], [gates hidden, hidden]
  Tensor bias_ih, bias_hh;      // [gates hidden], or undefined
};

struct Recurrent : Module {
  enum class Kind { gru, lstm };
  Recurrent(Kind kind, const RecurrentOptions& options);

  struct Result {
    Tensor out;    // [B, N, W], W = hidden, twice that in both directions; 0 past a row's length
    Tensor state;  // [B, W]: the last layer's, after all of a row's steps in either direction
  };
  /// x [B, N, in], lengths [B] i64 or undefined (all steps).
  Result run(const Tensor& x, const Tensor& lengths);
  Tensor forward(const Tensor& x, const Tensor& lengths) { return run(x, lengths).out; }
  Tensor forward(const Tensor& x) { return forward(x, {}); }
  /// Features of the output.
  int64_t width() const { return width_; }
  /// Forward floating-point operations a step.
  double flops_per_token() const;

  ModuleList<RecurrentCell> cells;  // layer by layer; in each the forward, then the backward one
  ModuleList<Dropout> dropouts;     // between layers

 private:
  Kind kind_;
  int64_t directions_, width_;
};

struct Gru : Recurrent {
  explicit Gru(const RecurrentOptions& options) : Recurrent(Kind::gru, options) {}
};

struct Lstm : Recurrent {
  explicit Lstm(const RecurrentOptions& options) : Recurrent(Kind::lstm, options) {}
};

}  // namespace heed::nn
