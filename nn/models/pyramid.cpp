#include "nn/models/pyramid.h"

#include "autograd/ops/reduce.h"
#include "nn/defaults.h"
#include "nn/init.h"

namespace heed::nn {
namespace {

const PyramidOptions& checked(const PyramidOptions& o) {
  if (o.classes <= 0) {
    fail_request("model pyramid: `classes` is not given (a recipe takes it from its data)");
  }
  return o;
}

}  // namespace

Pyramid::Pyramid(const PyramidOptions& o)
    : PyramidModel(checked(o), false),
      head(o.dims.back(), o.classes, true, init::truncated_normal(o.init_std)) {
  children({{"head", head}});
}

ClassifierInput Pyramid::input() const {
  return ClassifierInput::images(options().height, options().width, options().channels);
}

Config Pyramid::config() const {
  return with_defaults(Config(Config::Map{{"type", "pyramid"}}), options());
}

Tensor Pyramid::forward(const Tensor& images, const Tensor& lengths) {
  HEED_CHECK(!lengths.defined(), "pyramid: images take no lengths");
  const Tensor x = features(images).back();
  if (options().stage_norms) return head(mean(x, {1, 2}));
  Norm& norm = trunk.norms[0];
  if (options().pool_first) return head(norm.forward(mean(x, {1, 2})));
  return head(mean(norm.forward(x), {1, 2}));
}

double Pyramid::flops() const {
  return 2.0 * static_cast<double>(head.weight.numel()) +
         trunk.flops(options().height, options().width);
}

}  // namespace heed::nn
