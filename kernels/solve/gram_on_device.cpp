#include "kernels/solve/gram_on_device.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "core/op_call.h"
#include "core/views.h"
#include "core/work.h"
#include "kernels/copy/copy.h"
#include "kernels/matmul/matmul.h"
#include "kernels/solve/device_gram.h"

namespace heed::kernels {

DeviceKernel<void(const GramState&)> gram_start_cuda;
DeviceKernel<void(const GramState&)> gram_step_cuda;
DeviceKernel<void(const GramState&)> gram_finish_cuda;
DeviceKernel<void(const GramPairs&)> gram_weigh_cuda;
DeviceKernel<void(const GramSlopes&)> gram_slopes_cuda;

namespace {

/// Steps between two looks at whether all rows are done, for which the host waits.
constexpr int64_t kStepsBetweenLooks = 8;

GramExtents extents_of(const GramSystem& s, const Tensor& rows) {
  return {rows.dtype(), rows.size(0) * rows.size(1) * rows.size(2), s.keys.size(2), rows.size(3)};
}

void* raw_or_null(const Tensor& x) { return x.defined() ? x.raw() : nullptr; }

/// x_i.(k_j - c_i) of every pair, times `weights` where they are defined; the rows' sums.
void weigh_pairs(const GramSystem& s, const Tensor& weights, const Tensor& x, const Tensor& pairs,
                 const Tensor& sums) {
  gemm(x, views::transpose(s.keys, 2, 3), pairs);
  gram_weigh_cuda({"gram_solve", x, s.keys, s.weights, s.centre},
                  {extents_of(s, x), raw_or_null(weights), x.raw(), raw_or_null(s.centre),
                   pairs.raw(), raw_or_null(sums)});
}

/// The rows of conjugate gradients, with what they keep.
class Solver {
 public:
  Solver(const GramSystem& s, const Tensor& side, const ConjugateGradientOptions& options)
      : system_(s), side_(side), x_(like_side()), p_(like_side()), ap_(like_side()) {
    const double precision = side.dtype() == DType::f64
                                 ? std::numeric_limits<double>::epsilon()
                                 : double{std::numeric_limits<float>::epsilon()};
    const GramExtents e = extents_of(s, side);
    const auto numbers = [&](DType dtype) {
      kept_.push_back(Tensor::empty({e.rows}, dtype, side.device()));
      return kept_.back();
    };
    kept_.push_back(like_side());
    const Tensor r = kept_.back(), norm = numbers(e.dtype), enough = numbers(e.dtype),
                 exponent = numbers(DType::i32);
    status_ = numbers(DType::i32);
    curvature_ = numbers(e.dtype);
    pairs_ =
        Tensor::empty({side.size(0), side.size(1), side.size(2), e.keys}, e.dtype, side.device());
    if (s.centre.defined()) sums_ = numbers(e.dtype);
    state_ = {.e = e,
              .least = std::max(options.tolerance, precision),
              .ridge = s.ridge,
              .y = side.raw(),
              .centre = raw_or_null(s.centre),
              .x = x_.raw(),
              .r = r.raw(),
              .p = p_.raw(),
              .ap = ap_.raw(),
              .norm = norm.raw(),
              .enough = enough.raw(),
              .sums = raw_or_null(sums_),
              .exponent = exponent.data<int32_t>(),
              .status = status_.data<int32_t>(),
              .curvature = curvature_.raw()};
  }

  Tensor run(int64_t iterations) {
    const OpCall call("gram_solve", side_, system_.weights, system_.keys);
    gram_start_cuda(call, state_);
    for (int64_t step = 0; step < iterations; ++step) {
      if (step % kStepsBetweenLooks == 0 && !any_at_work()) break;
      products();
      gram_step_cuda(call, state_);
    }
    check();
    gram_finish_cuda(call, state_);
    return x_;
  }

 private:
  Tensor like_side() const { return Tensor::empty(side_.shape(), side_.dtype(), side_.device()); }

  /// ap = T k, of which the step makes A p.
  void products() {
    if (state_.e.keys == 0) {
      fill(ap_, 0);
      if (sums_.defined()) fill(sums_, 0);
      return;
    }
    weigh_pairs(system_, system_.weights, p_, pairs_, sums_);
    gemm(pairs_, system_.keys, ap_);
  }

  bool any_at_work() const {
    const std::vector<int32_t> status = status_.to_vector<int32_t>();
    return std::find(status.begin(), status.end(), 1) != status.end();
  }

  void check() const {
    const std::vector<int32_t> status = status_.to_vector<int32_t>();
    const auto failed = std::find_if(status.begin(), status.end(), [](int32_t s) { return s > 1; });
    if (failed == status.end()) return;
    const int64_t row = failed - status.begin(), rows = side_.size(2);
    const std::string place = fmt::format("row {} of (batch, head) {}", row % rows, row / rows);
    if (*failed == 2) fail("gram_solve: the right side of {} is not finite", place);
    fail("gram_solve: the system of {} is not positive definite: p.Ap {}", place,
         curvature_.to_vector<double>()[static_cast<size_t>(row)]);
  }

  const GramSystem& system_;
  const Tensor& side_;
  Tensor x_, p_, ap_, pairs_, sums_, status_, curvature_;
  std::vector<Tensor> kept_;
  GramState state_{};
};

}  // namespace

Tensor gram_solved_on_device(const GramSystem& s, const Tensor& side,
                             const ConjugateGradientOptions& options) {
  return Solver(s, side, options).run(options.iterations);
}

GramGradients gram_gradients_on_device(const GramSystem& s, const Tensor& x, const Tensor& u) {
  const auto like = [&](const Tensor& t) {
    return Tensor::empty(t.shape(), x.dtype(), x.device());
  };
  const Tensor of_x = like(s.weights), of_u = like(s.weights), dw = like(s.weights);
  const Tensor dc = s.centre.defined() ? like(x) : Tensor(), dk = like(s.keys);
  if (s.keys.numel() == 0) {
    if (dc.defined()) fill(dc, 0);
    return {dw, dk, dc, u};
  }
  weigh_pairs(s, {}, x, of_x, {});
  weigh_pairs(s, {}, u, of_u, {});
  gram_slopes_cuda({"gram_solve backward", x, u, s.weights},
                   {extents_of(s, x), s.weights.raw(), x.raw(), u.raw(), of_x.raw(), of_u.raw(),
                    dw.raw(), raw_or_null(dc)});
  gemm(views::transpose(of_u, 2, 3), x, dk);
  gemm(views::transpose(of_x, 2, 3), u, dk, {.accumulate = true});
  return {dw, dk, dc, u};
}

}  // namespace heed::kernels
