#include "nn/layers/codebook.h"

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/pointwise_loss.h"
#include "autograd/ops/sampling.h"
#include "autograd/ops/view.h"

namespace heed::nn {

void CodebookOptions::options(Options& o) {
  o.field("dim", dim, "features of a vector", {.min = 1, .required = true});
  o.field("codes", codes, "vectors of the codebook", {.min = 1, .required = true});
  o.field("decay", decay, "share that a code keeps at each step", {.min = 0, .below = 1});
  o.field(
      "restart_below", restart_below,
      "a code whose running number of vectors falls below it begins anew as one of the batch's; "
      "0: never",
      {.min = 0, .below = 1});
  o.field("lloyd", lloyd,
          "iterations of k-means over the first batch that make the first codes; 0: random ones",
          {.min = 0});
  o.field("commitment", commitment,
          "weight of the mean squared distance to the codes in the model's loss", {.min = 0});
}

Codebook::Codebook(const CodebookOptions& o)
    : kmeans({.heads = 1,
              .clusters = o.codes,
              .dim = o.dim,
              .decay = o.decay,
              .euclidean = true,
              .restart_below = o.restart_below,
              .lloyd = o.lloyd}),
      options_(o) {
  children({{"kmeans", kmeans}});
}

std::pair<Tensor, Tensor> Codebook::quantise(const Tensor& x) {
  HEED_CHECK(x.rank() >= 1 && x.size(-1) == options_.dim && x.numel() > 0,
             "codebook: wants [..., {}], got {}", options_.dim, x);
  const bool learns = training() && !recomputing();
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor vectors = reshape(cast(x, wide), {1, 1, x.numel() / options_.dim, options_.dim});
  if (learns && kmeans.wants_start()) kmeans.start_from(vectors);
  const Tensor members = OnlineKMeans::members(kmeans.scores(vectors));
  const Tensor codes = kmeans.nearest(members, wide);
  if (adds_losses() && ExtraLosses::wanted()) {
    ExtraLosses::add(mul(mse_loss(vectors, codes), options_.commitment));
  }
  if (learns) {
    if (!recording()) kmeans.keep();
    kmeans.update(vectors, members);  // the old codes served the pass
  }
  Shape places = x.shape();
  places.erase(places.rank() - 1);
  const Tensor y = cast(straight_through(codes, vectors), x.dtype());
  return {reshape(y, x.shape()), reshape(members, places)};
}

Tensor Codebook::decode(const Tensor& numbers) const {
  const NoGrad none;
  Shape shape = numbers.shape();
  shape.push_back(options_.dim);
  return reshape(kmeans.nearest(reshape(numbers, {1, 1, numbers.numel()}), DType::f32), shape);
}

}  // namespace heed::nn
