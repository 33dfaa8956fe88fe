// Initial values of parameters. Each is a function of (seed, parameter name, element index) alone,
// so it is the same on any device and any number of ranks; draws are made in f32 whatever the
// parameter's dtype.
#pragma once

#include "nn/module.h"

namespace heed::nn::init {

Init zeros();
Init ones();
Init constant(double value);
Init normal(double std, double mean = 0.0);
Init uniform(double low, double high);
/// Normal, cut at `cut` standard deviations on either side (by inversion of the distribution
/// function, so without rejected draws).
Init truncated_normal(double std, double mean = 0.0, double cut = 2.0);

// For a weight [out, in, ...]: fan_in = in * (product of the rest), fan_out = out * (the same).

/// Uniform in +-gain sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, eq. 16).
Init xavier_uniform(double gain = 1.0);
/// Normal of std gain sqrt(2 / (fan_in + fan_out)).
Init xavier_normal(double gain = 1.0);
/// Uniform in +-sqrt(6 / fan_in) (He et al. 2015, for ReLU).
Init kaiming_uniform();
/// Normal of std sqrt(2 / fan_in) (He et al. 2015, eq. 10).
Init kaiming_normal();
/// Normal of std sqrt(2 / fan_out) for a matrix [out, in] or a convolution's weight, channels last
/// [out, kernel..., in / groups]: fan_out = out * (product of the kernel) / groups (He et al. 2015,
/// eq. 14, as vision backbones start their convolutions).
Init kaiming_normal_out(int64_t groups = 1);
/// gain times a matrix with orthonormal rows (or columns, where there are fewer), uniform among
/// such matrices (Saxe et al., arXiv 1312.6120); a weight [out, ...] counts as [out, the rest].
Init orthogonal(double gain = 1.0);
/// Uniform in +-1/sqrt(fan_in): what PyTorch gives a linear layer's weight and, with the weight's
/// fan_in, its bias.
Init linear_default(int64_t fan_in);

}  // namespace heed::nn::init
