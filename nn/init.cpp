#include "nn/init.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/parallel.h"

namespace heed::nn::init {
namespace {

// Fills a parameter with value(stream, i).
template <class Value>
void fill(Tensor& parameter, const RandomKey& key, const Value& value) {
  HEED_CHECK(parameter.is_contiguous(), "initialise: {} is not contiguous", parameter);
  const RandomStream stream(key);
  dispatch_floating(parameter.dtype(), "initialise", [&](auto tag) {
    using T = decltype(tag);
    T* data = parameter.data<T>();
    parallel_for(parameter.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        data[i] = T(static_cast<float>(value(stream, static_cast<uint64_t>(i))));
      }
    });
  });
  parameter.bump_version();
}

struct Fans {
  double in = 0.0;
  double out = 0.0;
};

Fans fans_of(const Tensor& weight) {
  HEED_CHECK(weight.rank() >= 2, "initialise: {} has no fan-in; a weight needs two dimensions",
             weight);
  const int64_t receptive = weight.numel() / (weight.size(0) * weight.size(1));
  return {static_cast<double>(weight.size(1) * receptive),
          static_cast<double>(weight.size(0) * receptive)};
}

// The standard normal's quantile function: Acklam's rational approximation (relative error below
// 1.2e-9) with one step of Halley's method.
double normal_quantile(double p) {
  constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                          1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                          6.680131188771972e+01, -1.328068155288572e+01};
  constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                          -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                          3.754408661907416e+00};
  const auto tail = [&](double q) {
    return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
           ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1.0);
  };
  double x;
  if (p < 0.02425) {
    x = tail(std::sqrt(-2.0 * std::log(p)));
  } else if (p > 1.0 - 0.02425) {
    x = -tail(std::sqrt(-2.0 * std::log1p(-p)));
  } else {
    const double q = p - 0.5;
    const double r = q * q;
    x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
        (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1.0);
  }
  const double error = 0.5 * std::erfc(-x / std::sqrt(2.0)) - p;
  const double u = error * std::sqrt(2.0 * M_PI) * std::exp(x * x / 2.0);
  return x - u / (1.0 + x * u / 2.0);
}

// Gram-Schmidt on `count` vectors of `size` elements, one after another in memory: the Q of a QR
// factorisation whose R has a positive diagonal, which makes Q uniform when the vectors are normal
// (Mezzadri, arXiv math-ph/0609050). Each vector is projected twice, which is enough for
// orthogonality to rounding (Giraud et al. 2005).
void orthonormalise(std::vector<double>& vectors, int64_t count, int64_t size) {
  const auto vector = [&](int64_t i) { return vectors.data() + i * size; };
  const auto dot = [&](const double* a, const double* b) {
    return std::inner_product(a, a + size, b, 0.0);
  };
  for (int64_t i = 0; i < count; ++i) {
    double* v = vector(i);
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t j = 0; j < i; ++j) {
        const double* q = vector(j);
        const double along = dot(v, q);
        for (int64_t k = 0; k < size; ++k) v[k] -= along * q[k];
      }
    }
    const double length = std::sqrt(dot(v, v));
    for (int64_t k = 0; k < size; ++k) v[k] /= length;
  }
}

}  // namespace

Init constant(double value) {
  return [value](Tensor& parameter, const RandomKey& key) {
    fill(parameter, key, [value](const RandomStream&, uint64_t) { return value; });
  };
}

Init zeros() { return constant(0.0); }
Init ones() { return constant(1.0); }

Init normal(double std, double mean) {
  return [=](Tensor& parameter, const RandomKey& key) {
    fill(parameter, key, [=](const RandomStream& stream, uint64_t i) {
      return mean + std * static_cast<double>(stream.normal(i));
    });
  };
}

Init uniform(double low, double high) {
  return [=](Tensor& parameter, const RandomKey& key) {
    fill(parameter, key, [=](const RandomStream& stream, uint64_t i) {
      return low + (high - low) * static_cast<double>(stream.uniform(i));
    });
  };
}

Init truncated_normal(double std, double mean, double cut) {
  HEED_CHECK(cut > 0.0, "truncated_normal: the cut must be above 0, got {}", cut);
  const double below = 0.5 * std::erfc(cut / std::sqrt(2.0));  // probability beyond one cut
  return [=](Tensor& parameter, const RandomKey& key) {
    fill(parameter, key, [=](const RandomStream& stream, uint64_t i) {
      const double u = static_cast<double>(stream.uniform(i)) + 0x1p-25;  // inside (0, 1)
      return mean + std * normal_quantile(below + (1.0 - 2.0 * below) * u);
    });
  };
}

Init xavier_uniform(double gain) {
  return [=](Tensor& parameter, const RandomKey& key) {
    const Fans fans = fans_of(parameter);
    const double bound = gain * std::sqrt(6.0 / (fans.in + fans.out));
    uniform(-bound, bound)(parameter, key);
  };
}

Init xavier_normal(double gain) {
  return [=](Tensor& parameter, const RandomKey& key) {
    const Fans fans = fans_of(parameter);
    normal(gain * std::sqrt(2.0 / (fans.in + fans.out)))(parameter, key);
  };
}

Init kaiming_uniform() {
  return [](Tensor& parameter, const RandomKey& key) {
    const double bound = std::sqrt(6.0 / fans_of(parameter).in);
    uniform(-bound, bound)(parameter, key);
  };
}

Init kaiming_normal() {
  return [](Tensor& parameter, const RandomKey& key) {
    normal(std::sqrt(2.0 / fans_of(parameter).in))(parameter, key);
  };
}

Init kaiming_normal_out(int64_t groups) {
  return [=](Tensor& parameter, const RandomKey& key) {
    HEED_CHECK(parameter.rank() >= 2,
               "initialise: {} has no fan-out; a weight needs two dimensions", parameter);
    const auto fan_out =
        static_cast<double>(parameter.numel() / parameter.size(-1)) / static_cast<double>(groups);
    normal(std::sqrt(2.0 / fan_out))(parameter, key);
  };
}

Init orthogonal(double gain) {
  return [=](Tensor& parameter, const RandomKey& key) {
    HEED_CHECK(parameter.rank() >= 2 && parameter.numel() > 0,
               "orthogonal: {} is no matrix; a weight needs two dimensions", parameter);
    const int64_t rows = parameter.size(0), columns = parameter.numel() / rows;
    const int64_t count = std::min(rows, columns), size = std::max(rows, columns);
    const RandomStream stream(key);
    std::vector<double> vectors(static_cast<size_t>(count * size));
    for (size_t i = 0; i < vectors.size(); ++i) vectors[i] = static_cast<double>(stream.normal(i));
    orthonormalise(vectors, count, size);
    fill(parameter, key, [&](const RandomStream&, uint64_t i) {
      const auto row = static_cast<int64_t>(i) / columns,
                 column = static_cast<int64_t>(i) % columns;
      const int64_t at = rows <= columns ? row * size + column : column * size + row;
      return gain * vectors[static_cast<size_t>(at)];
    });
  };
}

Init linear_default(int64_t fan_in) {
  HEED_CHECK(fan_in > 0, "linear_default: fan_in must be positive, got {}", fan_in);
  const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
  return uniform(-bound, bound);
}

}  // namespace heed::nn::init
