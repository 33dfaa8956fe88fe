// From noise to data with a trained denoiser, in `steps` evaluations at times t_0 > t_1 > ... > 0:
//   ddim       x(s) = alpha(s) x0 + sigma(s) noise, both as the model sees them in x(t) (Song et
//              al., arXiv 2010.02502, eq. 12 with sigma = 0)
//   ancestral  as DDPM samples: the part v of sigma(s)^2 that x(t) does not tell is drawn anew,
//              v = sigma(s)^2 / sigma(t)^2 (1 - alpha(t)^2 / alpha(s)^2)
//   euler      x(s) = x(t) + (s - t) velocity: a flow's differential equation; the same as ddim
#pragma once

#include <functional>
#include <string>

#include "core/options.h"
#include "core/random.h"
#include "nn/diffusion/process.h"

namespace heed::nn {

struct SamplerOptions {
  std::string type = "auto";
  int64_t steps = 50;
  bool clip = true;
  double guidance = 1.0;

  void options(Options& o);
};

/// The prediction at noisy images x [B, ...] and times [B] (the network's), with the labels asked
/// for or, for guidance, without.
using Denoiser = std::function<Tensor(const Tensor& x, const Tensor& times, bool with_labels)>;

/// Samples of `shape`, each a function of the key, its own number and the model alone, numbered
/// from `first` on: f32, about [-1, 1]. With clip the estimate of the data is held within [-1, 1]
/// at every step. guidance g takes u + g (c - u) of the predictions with (c) and without labels (u)
/// (Ho & Salimans, arXiv 2207.12598); 1 evaluates c alone. RequestError for a sampler that does not
/// suit the process.
Tensor sample(const DiffusionProcess& process, const SamplerOptions& options, const Shape& shape,
              const RandomKey& key, const Denoiser& model, int64_t first = 0);

}  // namespace heed::nn
