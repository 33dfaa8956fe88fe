#include "nn/models/dense_pyramid.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/interpolate.h"
#include "autograd/ops/view.h"
#include "nn/defaults.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

const DensePyramidOptions& checked(const DensePyramidOptions& o) {
  if (o.outputs <= 0) {
    fail_request("model dense_pyramid: `outputs` is not given (a recipe takes it from its data)");
  }
  return o;
}

Tensor enlarged(const Tensor& x, int64_t height, int64_t width) {
  if (x.size(1) == height && x.size(2) == width) return x;
  return interpolate(x, {height, width}, Interpolation::linear);
}

}  // namespace

void DensePyramidOptions::options(Options& o) {
  stage_options(o);
  o.field("outputs", outputs, "channels of the result; 0 takes the task's", {.min = 0});
  o.field("head_dim", head_dim, "channels to which each stage's map is projected", {.min = 1});
}

DensePyramidOptions read_dense_pyramid_options(const Config& config) {
  return read_pyramid_config<DensePyramidOptions>(config, "model dense_pyramid");
}

DensePyramid::DensePyramid(const DensePyramidOptions& o)
    : PyramidModel(checked(o), true),
      fuse(o.head_dim * static_cast<int64_t>(o.dims.size()), o.head_dim, true,
           init::truncated_normal(o.init_std)),
      head(o.head_dim, o.outputs, true, init::truncated_normal(o.init_std)),
      options_(o) {
  for (const int64_t dim : o.dims) {
    projections.emplace(dim, o.head_dim, true, init::truncated_normal(o.init_std));
  }
  children({{"projections", projections}, {"fuse", fuse}, {"head", head}});
}

ImageGeometry DensePyramid::geometry() const {
  return {.height = options_.height,
          .width = options_.width,
          .channels = options_.channels,
          .outputs = options_.outputs};
}

Config DensePyramid::config() const {
  return with_defaults(Config(Config::Map{{"type", "dense_pyramid"}}), options_);
}

std::vector<Tensor> DensePyramid::features(const Tensor& images) {
  std::vector<Tensor> maps = trunk.maps(images, compute_dtype());
  if (options_.stage_norms) return maps;
  for (size_t stage = 0; stage < maps.size(); ++stage) {
    maps[stage] = trunk.norms[stage].forward(maps[stage]);
  }
  return maps;
}

Tensor DensePyramid::forward(const Tensor& x, const Tensor& times, const Tensor& labels) {
  HEED_CHECK(!times.defined() && !labels.defined(), "dense_pyramid: takes no times or labels");
  std::vector<Tensor> maps = features(x);
  const int64_t height = maps[0].size(1), width = maps[0].size(2);
  for (size_t stage = 0; stage < maps.size(); ++stage) {
    maps[stage] = enlarged(projections[stage](maps[stage]), height, width);
  }
  const Tensor fused = fuse.forward(concat(maps, 3), Activation::gelu);
  return enlarged(head(fused), x.size(1), x.size(2));
}

double DensePyramid::flops() const {
  std::vector<int64_t> pixels;
  double total = trunk.flops(options_.height, options_.width, &pixels);
  const auto each = [](const Linear& layer) {
    return 2.0 * static_cast<double>(layer.weight.numel());
  };
  auto own = pixels.begin();
  for (const auto& projection : projections) {
    total += each(*projection) * static_cast<double>(*own++);
  }
  return total + (each(fuse) + each(head)) * static_cast<double>(pixels.front());
}

}  // namespace heed::nn
