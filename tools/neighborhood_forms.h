// Neighborhood attention with its weights in memory, A [B, H, N, prod k]: the forms that the fused
// kernels are measured against (FNA, arXiv 2403.04690, sections 2 and 3). Both are made of the same
// three operators, and differ in how these run:
//   PN  A_i[m] = <x_i, y_nbr(i, m)>                   scores; dP from dO and V
//   NN  o_i = sum over m of A_i[m] y_nbr(i, m)        output; dQ from dA and K
//   IN  o_j = sum of A_i[pos(i, j)] x_i over the queries i that see j      dK, dV
//
//   naive     one vector and the vectors of its neighbours at a time
//   product   compact boxes of queries against the box of keys around them, as matrix products of
//             which the visible entries are gathered or scattered
#pragma once

#include <memory>
#include <vector>

#include "core/parallel.h"
#include "core/tensor.h"
#include "kernels/attention/pattern.h"

namespace heed::tools {

/// A neighborhood (without strides) along three axes; those that are not there have length 1.
class NeighborhoodGrid {
 public:
  explicit NeighborhoodGrid(const std::vector<NeighborhoodAxis>& axes);

  struct Axis {
    NeighborhoodAxis of;
    std::vector<int32_t> first, count;  ///< by query: its first key (a coordinate), how many
  };
  /// Coordinate of key t of the query at `i` along an axis.
  static int64_t key(const Axis& axis, int64_t i, int64_t t) {
    return axis.first[static_cast<size_t>(i)] + t * axis.of.dilation;
  }
  const Axis& axis(size_t a) const { return axes_[a]; }
  int64_t tokens() const { return tokens_; }
  int64_t neighbours() const { return neighbours_; }  ///< prod k

 private:
  std::vector<Axis> axes_;
  int64_t tokens_ = 1, neighbours_ = 1;
};

/// Tensors are f32, contiguous: x, y [B H, N, D], A [B H, N, prod k]. Places of A that stand for no
/// key (causal axes) are left alone by PN and passed over by the others.
class NeighborhoodOperators {
 public:
  virtual ~NeighborhoodOperators() = default;
  virtual void pn(const Tensor& x, const Tensor& y, const Tensor& a) const = 0;
  virtual Tensor nn(const Tensor& a, const Tensor& y) const = 0;
  virtual Tensor in(const Tensor& a, const Tensor& x) const = 0;
};

/// Calls row(values, the row's number) for the rows of a contiguous f32 tensor [.., N].
template <class Row>
void each_row(const Tensor& x, const Row& row) {
  const int64_t width = x.size(-1);
  auto* values = x.data<float>();
  parallel_for(x.numel() / width, 64, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) row(values + r * width, r);
  });
}

/// dP [.., N] -> dA = scale P (dP - sum over the row of P dP), in place.
void softmax_backward_rows(const Tensor& dp, const Tensor& p, float scale);

std::unique_ptr<NeighborhoodOperators> naive_neighborhood(const NeighborhoodGrid& grid);
std::unique_ptr<NeighborhoodOperators> product_neighborhood(const NeighborhoodGrid& grid);

/// softmax(q k^T / sqrt(D)) v over the neighbours; `weights` receives the probabilities.
Tensor unfused_forward(const NeighborhoodOperators& operators, int64_t neighbours, const Tensor& q,
                       const Tensor& k, const Tensor& v, Tensor* weights);

struct UnfusedGradients {
  Tensor dq, dk, dv;
};
UnfusedGradients unfused_backward(const NeighborhoodOperators& operators, const Tensor& dout,
                                  const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& weights);

}  // namespace heed::tools
