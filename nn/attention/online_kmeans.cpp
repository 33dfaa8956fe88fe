#include "nn/attention/online_kmeans.h"

#include <cmath>
#include <vector>

#include "autograd/checkpoint.h"
#include "autograd/ops/index.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/views.h"
#include "kernels/copy/copy.h"
#include "kernels/matmul/matmul.h"
#include "kernels/random/fill.h"

namespace heed::nn {
namespace {

constexpr double kEps = 1e-5;  // as in the official code

}  // namespace

OnlineKMeans::OnlineKMeans(const OnlineKMeansOptions& o)
    : centroids(Tensor::empty({o.heads, o.clusters, o.dim})),
      counts(Tensor::full({o.heads, o.clusters}, o.from_one ? 1.0 : 0.0)),
      options_(o) {
  // Normal, and normalised as the vectors are. They are no parameters, so no seed reaches them:
  // every run starts from the same ones.
  kernels::fill_normal(centroids, 0.0, 1.0, {1, hash_name("online_kmeans"), 0});
  const NoGrad none;
  centroids = layer_norm(centroids, {}, {}, kEps);
  sums = Tensor::empty(centroids.shape());
  kernels::copy(centroids, sums);
  buffers({{"centroids", centroids}, {"counts", counts}, {"sums", sums}});
}

const Tensor& OnlineKMeans::began() const {
  const auto kept = kept_.find(random_context().part);
  return recomputing() && kept != kept_.end() ? kept->second : centroids;
}

Tensor OnlineKMeans::scores(const Tensor& x) const {
  const NoGrad none;
  const Tensor means = kernels::cast(began(), x.dtype());
  const Tensor by_token = kernels::matmul(x.detach(), views::transpose(means, 1, 2));
  const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  return kernels::cast(kernels::contiguous(views::transpose(by_token, 2, 3)), wide);
}

Tensor OnlineKMeans::members(const Tensor& scores) {
  const NoGrad none;
  return argmax(scores, 2);
}

Tensor OnlineKMeans::nearest(const Tensor& members, DType dtype) const {
  const NoGrad none;
  const Shape of_batch{members.size(0), members.size(1), options_.clusters, options_.dim};
  const Shape found{members.size(0), members.size(1), members.size(2), options_.dim};
  const Tensor centroid =
      gather(expand(unsqueeze(began(), 0), of_batch), 2, expand(unsqueeze(members, 3), found));
  return kernels::cast(centroid, dtype);
}

void OnlineKMeans::keep() {
  const Tensor copy = Tensor::empty(centroids.shape(), centroids.dtype(), centroids.device());
  kernels::copy(centroids, copy);
  kept_[random_context().part] = copy;
}

void OnlineKMeans::update(const Tensor& x, const Tensor& members) {
  const int64_t batch = x.size(0), heads = x.size(1), tokens = x.size(2), dim = x.size(3);
  const int64_t clusters = options_.clusters;
  const Tensor values = kernels::contiguous(kernels::cast(x.detach(), DType::f64)).to(kCpu);
  const Tensor of = kernels::contiguous(members).to(kCpu);
  // New counts, then new sums: a head's by one thread, in the order of the rows.
  std::vector<double> fresh(static_cast<size_t>(heads * clusters * (1 + dim)), 0.0);
  double* added = fresh.data() + heads * clusters;
  const int64_t* cluster_of = of.data<int64_t>();
  const double* vectors = values.data<double>();
  parallel_for(heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h) {
      for (int64_t i = 0; i < batch * tokens; ++i) {
        const int64_t row = (i / tokens * heads + h) * tokens + i % tokens;
        const int64_t cluster = h * clusters + cluster_of[row];
        fresh[static_cast<size_t>(cluster)] += 1.0;
        for (int64_t c = 0; c < dim; ++c) added[cluster * dim + c] += vectors[row * dim + c];
      }
    }
  });
  if (sum_over_ranks) sum_over_ranks(fresh);

  const std::vector<double> old_counts = counts.to_vector<double>();
  const std::vector<double> old_sums = sums.to_vector<double>();
  std::vector<double> count, sum(old_sums.size()), mean(old_sums.size());
  const double keep = options_.decay, take = 1.0 - keep;
  for (size_t k = 0; k < old_counts.size(); ++k)
    count.push_back(keep * old_counts[k] + take * fresh[k]);
  for (int64_t h = 0; h < heads; ++h) {
    double all = 0.0;
    for (int64_t k = 0; k < clusters; ++k) all += count[static_cast<size_t>(h * clusters + k)];
    for (int64_t k = 0; k < clusters; ++k) {
      const auto at = static_cast<size_t>(h * clusters + k);
      const double smoothed =
          (count[at] + kEps) / (all + static_cast<double>(clusters) * kEps) * all;
      double square = 0.0;
      for (size_t i = at * static_cast<size_t>(dim); i < (at + 1) * static_cast<size_t>(dim); ++i) {
        sum[i] = keep * old_sums[i] + take * added[i];
        mean[i] = sum[i] / smoothed;
        square += mean[i] * mean[i];
      }
      if (!options_.renormalise || square == 0.0) continue;
      const double scale = std::sqrt(static_cast<double>(dim) / square);
      for (size_t i = at * static_cast<size_t>(dim); i < (at + 1) * static_cast<size_t>(dim); ++i)
        mean[i] *= scale;
    }
  }
  const auto into = [](const Tensor& buffer, const std::vector<double>& with) {
    kernels::copy(Tensor::from(with, buffer.shape()).to(buffer.device()), buffer);
  };
  into(counts, count);
  into(sums, sum);
  into(centroids, mean);
}

}  // namespace heed::nn
