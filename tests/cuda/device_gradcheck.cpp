// gradcheck() for a device, in place of the library's: instead of central differences it compares
// the op on device tensors with the op on the CPU, results and gradients, in f64, f32 and bf16, and
// demands the same bits in whatever way the device does the work (device_under_test.h).
#include <algorithm>
#include <cmath>

#include "autograd/gradcheck.h"
#include "core/random.h"
#include "kernels/copy/copy.h"
#include "tests/cuda/device_under_test.h"
#include "tests/cuda/not_yet.h"

namespace heed {
namespace {

using Outputs = std::vector<Tensor>;
using Function = std::function<Outputs(const std::vector<Tensor>&)>;

using testing::kDevice;

// Results, then gradients of the inputs, on the CPU; undefined where there is none.
Outputs run(const Function& fn, const std::vector<Tensor>& given, Device device, DType dtype,
            uint64_t seed) {
  std::vector<Tensor> inputs;
  for (const Tensor& x : given) {
    const bool floating = x.dtype() == DType::f64;
    // in f64 the strides stay; other types are row-major copies
    Tensor leaf = floating && dtype != DType::f64 ? kernels::cast(x, dtype) : x;
    leaf = leaf.is_same(x) ? leaf.to(kDevice).to(device) : leaf.to(device);
    if (floating) require_grad(leaf);
    inputs.push_back(leaf);
  }
  const WithGrad recorded;
  Outputs all = fn(inputs);
  std::vector<Tensor> roots, seeds;
  for (size_t k = 0; k < all.size(); ++k) {
    // a loss is a number of the host's
    HEED_CHECK(all[k].device() == device || all[k].rank() == 0, "result {} lies on {}", k,
               all[k].device().to_string());
    if (!requires_grad(all[k])) continue;
    const RandomStream stream(RandomKey{seed, hash_name("gradcheck"), k});
    std::vector<double> values(static_cast<size_t>(all[k].numel()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = 2.0 * stream.uniform(i) - 1.0;
    roots.push_back(all[k]);
    seeds.push_back(
        kernels::cast(Tensor::from(values, all[k].shape()), all[k].dtype()).to(all[k].device()));
  }
  if (!roots.empty()) backward(roots, seeds);
  for (const Tensor& x : inputs) all.push_back(requires_grad(x) ? grad(x) : Tensor());
  for (Tensor& x : all) {
    if (x.defined()) x = x.detach().to(kCpu);
  }
  return all;
}

bool same_bits(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

double largest_of(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest;
}

double largest_of_all(const std::vector<Tensor>& tensors) {
  double largest = 0;
  for (const Tensor& x : tensors) {
    if (x.defined()) largest = std::max(largest, largest_of(x.to_vector<double>()));
  }
  return largest;
}

// A result may be the small difference of large numbers, such as the gradient of a norm over one
// element, or the loss of one class, x - log(e^x): it is not known better than to a unit of the
// last place of these, 2^-10 of a tolerance.
constexpr double kUnit = 0x1p-10;

// "" when every element of `got` is within `tolerance` of `want`, beside the largest element of the
// tensor, or a unit of the largest of all tensors, `inputs` among them.
std::string compare(const Outputs& got, const Outputs& want, const std::vector<Tensor>& inputs,
                    double tolerance, const char* what) {
  const double of_all = std::max(largest_of_all(want), largest_of_all(inputs));
  for (size_t k = 0; k < want.size(); ++k) {
    if (got[k].defined() != want[k].defined())
      return fmt::format("{} {}: only one is there", what, k);
    if (!want[k].defined()) continue;
    if (got[k].to_string() != want[k].to_string()) {
      return fmt::format("{} {}: {} for {}", what, k, got[k], want[k]);
    }
    const std::vector<double> a = got[k].to_vector<double>(), b = want[k].to_vector<double>();
    const double largest = std::max(largest_of(b), kUnit * of_all);
    for (size_t i = 0; i < b.size(); ++i) {
      if (!same_bits(a[i], b[i]) && !(std::abs(a[i] - b[i]) <= tolerance * largest)) {
        return fmt::format("{} {} ({}), element {}: {} for {}", what, k, want[k], i, a[i], b[i]);
      }
    }
  }
  return "";
}

// Sums of up to a thousand terms of one size, in another order, through a few ops: 2^10 units of
// the last place of the type that sums are kept in, four roundings to the type of the tensor.
double tolerance_of(DType dtype) {
  if (dtype == DType::f64) return 0x1p-43;
  return dtype == DType::f32 ? 0x1p-14 : 0x1p-6;
}

std::string check(const Function& fn, const std::vector<Tensor>& inputs,
                  const GradcheckOptions& options) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    Outputs want;
    try {
      want = run(fn, inputs, kCpu, dtype, options.seed);
    } catch (const Error&) {
      if (dtype == DType::f64) throw;
      continue;  // f64 tensors that the function holds do not go with this type
    }
    const std::string where = fmt::format("{} on the device", name_of(dtype));
    Outputs got;
    try {
      testing::run_in_way(0);
      got = run(fn, inputs, kDevice, dtype, options.seed);
    } catch (const Error& error) {
      if (testing::is_not_yet(error.what())) return "";
      return where + ": " + error.what();
    }
    if (const std::string wrong = compare(got, want, inputs, tolerance_of(dtype), "tensor");
        !wrong.empty()) {
      return where + ", " + wrong;
    }
    for (int way = 1; way < testing::ways_to_run(); ++way) {
      testing::run_in_way(way, options.seed);
      const Outputs again = run(fn, inputs, kDevice, dtype, options.seed);
      if (const std::string wrong = compare(again, got, inputs, 0.0, "tensor"); !wrong.empty()) {
        return fmt::format("{}, way {} of doing it, {}", where, way, wrong);
      }
    }
  }
  return "";
}

}  // namespace

std::string gradcheck(const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& fn,
                      const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  return check(fn, inputs, options);
}

std::string gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& fn,
                      const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  return check([&fn](const std::vector<Tensor>& x) { return Outputs{fn(x)}; }, inputs, options);
}

}  // namespace heed
