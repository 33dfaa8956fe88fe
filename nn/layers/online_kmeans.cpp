#include "nn/layers/online_kmeans.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include "autograd/checkpoint.h"
#include "autograd/ops/elementwise.h"
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
  HEED_CHECK(o.restart_below >= 0.0 && o.restart_below < 1.0,
             "online_kmeans: restart_below {} is outside [0, 1)", o.restart_below);
  if (o.lloyd > 0) {
    started = Tensor::scalar(int64_t{0});
    buffers({{"started", started}});
  }
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
  const Tensor products =
      kernels::cast(kernels::contiguous(views::transpose(by_token, 2, 3)), wide);
  if (!options_.euclidean) return products;
  // |x - c|^2 / 2 without |x|^2, which is the same for all of a vector's centroids.
  return sub(products, mul(sum(square(cast(means, wide)), {2}, true), 0.5));
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

std::vector<double> OnlineKMeans::added_up(const Tensor& x, const Tensor& members) const {
  const int64_t batch = x.size(0), heads = x.size(1), tokens = x.size(2), dim = x.size(3);
  const int64_t clusters = options_.clusters;
  const Tensor values = kernels::contiguous(kernels::cast(x.detach(), DType::f64)).to(kCpu);
  const Tensor of = kernels::contiguous(members).to(kCpu);
  // Counts, then sums: a head's by one thread, in the order of the rows.
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
  return fresh;
}

void OnlineKMeans::update(const Tensor& x, const Tensor& members) {
  const std::vector<double> fresh = added_up(x, members);
  std::vector<double> count = counts.to_vector<double>(), sum = sums.to_vector<double>();
  const double keep = options_.decay, take = 1.0 - keep;
  for (size_t k = 0; k < count.size(); ++k) count[k] = keep * count[k] + take * fresh[k];
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = keep * sum[i] + take * fresh[rows() + i];
  if (options_.restart_below > 0.0) restart(x, count, sum);
  set(count, sum);
}

void OnlineKMeans::set(const std::vector<double>& count, const std::vector<double>& sum) {
  const auto clusters = static_cast<size_t>(options_.clusters);
  const auto dim = static_cast<size_t>(options_.dim);
  std::vector<double> mean(sum.size());
  for (size_t h = 0; h < count.size() / clusters; ++h) {
    double all = 0.0;
    for (size_t k = 0; k < clusters; ++k) all += count[h * clusters + k];
    for (size_t at = h * clusters; at < (h + 1) * clusters; ++at) {
      const double smoothed =
          (count[at] + kEps) / (all + static_cast<double>(clusters) * kEps) * all;
      double square = 0.0;
      for (size_t i = at * dim; i < (at + 1) * dim; ++i) {
        mean[i] = sum[i] / smoothed;
        square += mean[i] * mean[i];
      }
      if (!options_.renormalise || square == 0.0) continue;
      const double scale = std::sqrt(static_cast<double>(dim) / square);
      for (size_t i = at * dim; i < (at + 1) * dim; ++i) mean[i] *= scale;
    }
  }
  const auto into = [](const Tensor& buffer, const std::vector<double>& with) {
    kernels::copy(Tensor::from(with, buffer.shape()).to(buffer.device()), buffer);
  };
  into(counts, count);
  into(sums, sum);
  into(centroids, mean);
}

OnlineKMeans::Place OnlineKMeans::place_of(const Tensor& x) const {
  const int64_t own = x.size(0) * x.size(2);
  const uint64_t part = random_context().part;
  if (!sum_over_ranks) return {0, own, part};
  // Ranks have neighbouring parts of a micro-batch: the sum of their numbers tells the first.
  std::vector<double> numbers = {static_cast<double>(own), static_cast<double>(part), 1.0};
  sum_over_ranks(numbers);
  const double ranks = numbers[2];
  const double first = (numbers[1] - ranks * (ranks - 1.0) / 2.0) / ranks;
  const auto before = static_cast<int64_t>(static_cast<double>(part) - first);
  return {before * own, static_cast<int64_t>(numbers[0]), static_cast<uint64_t>(first / ranks)};
}

std::vector<double> OnlineKMeans::vectors_at(const Tensor& x,
                                             const std::vector<std::vector<int64_t>>& numbers,
                                             int64_t first) const {
  const int64_t heads = x.size(1), tokens = x.size(2), dim = x.size(3), own = x.size(0) * tokens;
  const std::vector<double> values = kernels::cast(x.detach(), DType::f64).to_vector<double>();
  std::vector<double> found;
  for (int64_t h = 0; h < heads; ++h) {
    for (const int64_t number : numbers[static_cast<size_t>(h)]) {
      const int64_t i = number - first;
      const int64_t row = (i / tokens * heads + h) * tokens + i % tokens;
      for (int64_t c = 0; c < dim; ++c) {
        const bool here = i >= 0 && i < own;
        found.push_back(here ? values[static_cast<size_t>(row * dim + c)] : 0.0);
      }
    }
  }
  if (sum_over_ranks) sum_over_ranks(found);  // each is one rank's, the others give zeros
  return found;
}

void OnlineKMeans::restart(const Tensor& x, std::vector<double>& count,
                           std::vector<double>& sum) const {
  std::vector<size_t> dead;
  for (size_t k = 0; k < count.size(); ++k) {
    if (count[k] < options_.restart_below) dead.push_back(k);
  }
  if (dead.empty()) return;  // on all ranks alike
  const Place place = place_of(x);
  const RandomStream draws(
      current_key(hash_name("online_kmeans/restart")).derive(place.micro_batch));
  std::vector<std::vector<int64_t>> numbers(static_cast<size_t>(options_.heads));
  for (const size_t k : dead) {
    numbers[k / static_cast<size_t>(options_.clusters)].push_back(
        static_cast<int64_t>(draws.below(k, static_cast<uint64_t>(place.all))));
  }
  const std::vector<double> fresh = vectors_at(x, numbers, place.first);
  const auto dim = static_cast<size_t>(options_.dim);
  for (size_t i = 0; i < dead.size(); ++i) {  // heads ascend in both
    count[dead[i]] = 1.0;
    std::copy_n(fresh.begin() + static_cast<std::ptrdiff_t>(i * dim), dim,
                sum.begin() + static_cast<std::ptrdiff_t>(dead[i] * dim));
  }
}

bool OnlineKMeans::wants_start() const { return started.defined() && started.item() == 0.0; }

void OnlineKMeans::start_from(const Tensor& x) {
  HEED_CHECK(started.defined(), "online_kmeans: no start from vectors was asked for");
  const NoGrad none;
  const Place place = place_of(x);
  const RandomStream draws(current_key(hash_name("online_kmeans/start")));
  const int64_t clusters = options_.clusters;
  std::vector<std::vector<int64_t>> numbers(static_cast<size_t>(options_.heads));
  for (int64_t i = 0; i < options_.heads * clusters; ++i) {
    // One of each stretch of the vectors, so that none is drawn twice where there are enough.
    const int64_t k = i % clusters, begin = k * place.all / clusters;
    const int64_t end = std::max((k + 1) * place.all / clusters, begin + 1);
    numbers[static_cast<size_t>(i / clusters)].push_back(
        begin + static_cast<int64_t>(
                    draws.below(static_cast<uint64_t>(i), static_cast<uint64_t>(end - begin))));
  }
  std::vector<double> count(rows(), 1.0), sum = vectors_at(x, numbers, place.first);
  set(count, sum);
  for (int64_t n = 0; n < options_.lloyd; ++n) {
    const std::vector<double> fresh = added_up(x, members(scores(x)));
    for (size_t k = 0; k < count.size(); ++k) {
      if (fresh[k] == 0.0) continue;  // without members it stays
      count[k] = fresh[k];
      const auto dim = static_cast<size_t>(options_.dim);
      for (size_t i = k * dim; i < (k + 1) * dim; ++i) sum[i] = fresh[rows() + i];
    }
    set(count, sum);
  }
  kernels::copy(Tensor::scalar(int64_t{1}).to(started.device()), started);
}

}  // namespace heed::nn
