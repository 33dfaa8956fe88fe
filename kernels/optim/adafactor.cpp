// Reads the gradient three times and the parameter twice: the sums need a pass each.
#include "kernels/optim/adafactor.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/optim/device_adafactor.h"

namespace heed::kernels {

DeviceKernel<void(const DeviceAdafactor&)> adafactor_cuda;

namespace {

constexpr double kTiny = 1e-30;       // added to squares
constexpr double kLeastScale = 1e-3;  // of a parameter's rms
constexpr double kBetaPower = -0.8;

// Rows of a matrix in pieces: a function of the shape alone.
struct Pieces {
  int64_t rows, cols, grain, count;

  Pieces(int64_t r, int64_t c)
      : rows(r),
        cols(c),
        grain(std::max({int64_t{1}, 16384 / c, (r + 31) / 32})),
        count((r + grain - 1) / grain) {}

  /// fn(piece, first row, last row) on all threads.
  template <class Fn>
  void for_each(const Fn& fn) const {
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) { fn(begin / grain, begin, end); });
  }
};

template <class T>
void run(const AdafactorUpdate& u, int64_t t, double grad_scale) {
  using A = accumulate_t<T>;
  const bool factored = u.rows.defined();
  const int64_t n = u.parameter.numel();
  const int64_t height = factored ? u.parameter.size(0) : 1;
  const Pieces pieces(height, n / height);
  const int64_t cols = pieces.cols;
  const double rate = std::pow(static_cast<double>(t), kBetaPower);  // 1 - beta2
  T* parameter = u.parameter.data<T>();
  const T* gradient = u.gradient.data<T>();
  const auto slope = [&](int64_t i) {
    return grad_scale * static_cast<double>(static_cast<A>(gradient[i]));
  };
  const auto move = [rate](A& mean, double value) {
    mean = static_cast<A>(static_cast<double>(mean) + rate * (value - static_cast<double>(mean)));
  };

  double mean_of_rows = 1;
  if (factored) {
    std::vector<double> col_sums(static_cast<size_t>(pieces.count * cols));
    A* rows = u.rows.data<A>();
    pieces.for_each([&](int64_t piece, int64_t begin, int64_t end) {
      double* to = col_sums.data() + piece * cols;
      for (int64_t r = begin; r < end; ++r) {
        double sum = 0;
        for (int64_t c = 0; c < cols; ++c) {
          const double g = slope(r * cols + c), square = g * g + kTiny;
          sum += square;
          to[c] += square;
        }
        move(rows[r], sum / static_cast<double>(cols));
      }
    });
    for (int64_t c = 0; c < cols; ++c) {
      double sum = 0;
      for (int64_t p = 0; p < pieces.count; ++p) sum += col_sums[static_cast<size_t>(p * cols + c)];
      move(u.cols.data<A>()[c], sum / static_cast<double>(height));
    }
    double sum = 0;
    for (int64_t r = 0; r < height; ++r) sum += static_cast<double>(rows[r]);
    mean_of_rows = sum / static_cast<double>(height);
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const double g = slope(i);
      move(u.moment.data<A>()[i], g * g + kTiny);
    }
  }

  // 1 / sqrt(v) is a product of a row's and a column's factor.
  std::vector<double> of_row(static_cast<size_t>(factored ? height : 1), 1.0);
  std::vector<double> of_col(static_cast<size_t>(cols));
  if (factored) {
    for (size_t r = 0; r < of_row.size(); ++r) {
      of_row[r] = std::sqrt(mean_of_rows / static_cast<double>(u.rows.data<A>()[r]));
    }
  }
  const A* moment = factored ? u.cols.data<A>() : u.moment.data<A>();
  for (size_t c = 0; c < of_col.size(); ++c) {
    of_col[c] = 1 / std::sqrt(static_cast<double>(moment[c]));
  }
  const auto direction = [&](int64_t r, int64_t c) {
    return slope(r * cols + c) * of_row[static_cast<size_t>(r)] * of_col[static_cast<size_t>(c)];
  };
  std::vector<double> squares(static_cast<size_t>(pieces.count)), sizes(squares);
  pieces.for_each([&](int64_t piece, int64_t begin, int64_t end) {
    double square = 0, size = 0;
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        const double d = direction(r, c);
        const double p = static_cast<double>(static_cast<A>(parameter[r * cols + c]));
        square += d * d;
        size += p * p;
      }
    }
    squares[static_cast<size_t>(piece)] = square;
    sizes[static_cast<size_t>(piece)] = size;
  });
  const auto rms = [n](const std::vector<double>& parts) {
    double sum = 0;
    for (const double part : parts) sum += part;
    return std::sqrt(sum / static_cast<double>(n));
  };
  const double scale = u.lr * std::max(kLeastScale, rms(sizes)) / std::max(1.0, rms(squares));
  const double keep = 1 - u.lr * u.weight_decay;
  pieces.for_each([&](int64_t, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        T& p = parameter[r * cols + c];
        p = T(static_cast<A>(keep * static_cast<double>(static_cast<A>(p)) -
                             scale * direction(r, c)));
      }
    }
  });
}

void run_on_device(const AdafactorUpdate& u, int64_t t, double grad_scale) {
  const bool factored = u.rows.defined();
  const int64_t height = factored ? u.parameter.size(0) : 1, width = u.parameter.numel() / height;
  const Tensor scratch = Tensor::empty({3 * height + width + 2}, DType::f64, u.parameter.device());
  auto* numbers = scratch.data<double>();
  const auto raw = [](const Tensor& x) { return x.defined() ? x.raw() : nullptr; };
  adafactor_cuda({"adafactor", u.parameter, u.gradient, u.rows, u.cols, u.moment},
                 {.dtype = u.parameter.dtype(),
                  .height = height,
                  .width = width,
                  .rate = std::pow(static_cast<double>(t), kBetaPower),
                  .grad_scale = grad_scale,
                  .lr = u.lr,
                  .weight_decay = u.weight_decay,
                  .tiny = kTiny,
                  .least_scale = kLeastScale,
                  .parameter = u.parameter.raw(),
                  .gradient = u.gradient.raw(),
                  .rows = raw(u.rows),
                  .cols = raw(u.cols),
                  .moment = raw(u.moment),
                  .of_row = numbers,
                  .of_col = numbers + height,
                  .squares = numbers + height + width,
                  .sizes = numbers + 2 * height + width,
                  .mean_of_rows = numbers + 3 * height + width,
                  .scale = numbers + 3 * height + width + 1});
}

}  // namespace

void adafactor(const AdafactorUpdate& u, int64_t t, double grad_scale) {
  const char* op = "adafactor";
  const DType dtype = u.parameter.dtype();
  HEED_CHECK(u.parameter.is_contiguous() && u.gradient.is_contiguous() &&
                 u.gradient.shape() == u.parameter.shape() && u.gradient.dtype() == dtype,
             "{}: a gradient of {} for a parameter of {}", op, u.gradient, u.parameter);
  const bool factored = u.parameter.rank() >= 2;
  HEED_CHECK(u.rows.defined() == factored && u.cols.defined() == factored &&
                 u.moment.defined() != factored,
             "{}: the moments do not fit a parameter of {}", op, u.parameter);
  if (u.parameter.numel() == 0) return;
  if (u.parameter.device().is_cuda()) {
    HEED_CHECK(is_floating(dtype), "{}: a parameter of {}", op, u.parameter);
    run_on_device(u, t, grad_scale);
  } else {
    require_cpu(u.parameter.device(), op);
    dispatch_floating(dtype, op, [&](auto type) { run<decltype(type)>(u, t, grad_scale); });
  }
  for (const Tensor& tensor : {u.parameter, u.rows, u.cols, u.moment}) {
    if (tensor.defined()) tensor.bump_version();
  }
}

}  // namespace heed::kernels
