// Every op is counted with the bytes that it must move: each operand read once, each result written
// once, statistics and weights of a row's width left out. tests/interop/torch_ops.py measures the
// same list in PyTorch.
#include "tools/ops_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "core/parallel.h"
#include "core/random.h"
#include "core/tensor.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/unary.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/norm/norm.h"
#include "kernels/optim/adam.h"
#include "kernels/optim/lists.h"
#include "kernels/position/rotary.h"
#include "kernels/random/dropout.h"
#include "kernels/random/fill.h"
#include "kernels/softmax/softmax.h"
#include "tools/device_rates.h"
#include "tools/device_timing.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

using kernels::Norm;

struct OpsBench {
  std::string device = "cpu";
  std::vector<std::string> only;
  int64_t rows = 16384, width = 1024;
  double seconds = 0.3;
  bool json = false;
};

struct Case {
  std::string name;
  DType dtype;
  int64_t bytes;
  std::function<void()> run;
};

class Cases {
 public:
  Cases(const OpsBench& b, Device device) : b_(b), device_(device) {}

  std::vector<Case> all() {
    for (const DType dtype : {DType::bf16, DType::f32}) {
      norms(dtype);
      elementwise(dtype);
      rows(dtype);
    }
    optimizer();
    return std::move(cases_);
  }

 private:
  Tensor normal(const Shape& shape, DType dtype, uint64_t purpose) const {
    const Tensor t = Tensor::empty(shape, dtype);
    kernels::fill_normal(t, 0.0, 1.0, {1, purpose, 0});
    return t.to(device_);
  }
  Tensor wide(DType dtype, uint64_t purpose) const {
    return normal({b_.rows, b_.width}, dtype, purpose);
  }
  /// `times`: tensors of the whole size that are read or written.
  void add(const std::string& name, const Tensor& x, int64_t times, std::function<void()> run) {
    cases_.push_back({name, x.dtype(), times * x.bytes(), std::move(run)});
  }

  void norms(DType dtype) {
    const Tensor x = wide(dtype, 1), dy = wide(dtype, 2), ds = wide(dtype, 12);
    const Tensor w = normal({b_.width}, DType::f32, 3);
    const auto layer = kernels::norm(Norm::layer, {}, x, w, w, 1e-5);
    const auto rms = kernels::norm(Norm::rms, {}, x, w, {}, 1e-5);
    add("layer_norm", x, 2, [=] { kernels::norm(Norm::layer, {}, x, w, w, 1e-5); });
    add("add_layer_norm", x, 4, [=] { kernels::norm(Norm::layer, dy, x, w, w, 1e-5); });
    add("rms_norm", x, 2, [=] { kernels::norm(Norm::rms, {}, x, w, {}, 1e-5); });
    add("layer_norm backward", x, 3,
        [=] { kernels::norm_backward(Norm::layer, dy, {}, x, w, layer.mean, layer.rstd, {}); });
    add("add_layer_norm backward", x, 4,
        [=] { kernels::norm_backward(Norm::layer, dy, ds, x, w, layer.mean, layer.rstd, {}); });
    add("rms_norm backward", x, 3,
        [=] { kernels::norm_backward(Norm::rms, dy, {}, x, w, {}, rms.rstd, {.dbias = false}); });
  }

  void elementwise(DType dtype) {
    const Tensor x = wide(dtype, 4), y = wide(dtype, 5), dy = wide(dtype, 6);
    const Tensor dx = Tensor::empty(x.shape(), dtype, device_);
    const Tensor dz = Tensor::empty(x.shape(), dtype, device_);
    add("add", x, 3, [=] { kernels::binary(kernels::Binary::add, x, y); });
    add("gelu_tanh", x, 2, [=] { kernels::unary(kernels::Unary::gelu_tanh, x); });
    add("gelu_tanh backward", x, 3,
        [=] { kernels::unary_backward(kernels::Unary::gelu_tanh, dy, x); });
    add("swiglu", x, 3, [=] { kernels::swiglu(x, y); });
    add("swiglu backward", x, 5, [=] { kernels::swiglu_backward(dy, x, y, dx, dz); });
    add("dropout", x, 2, [=] { kernels::dropout(x, 0.1, {1, 2, 3}); });
    if (b_.width % 64 != 0) return;
    const Tensor heads = normal({1, b_.width / 64, b_.rows, 64}, dtype, 7);
    const Tensor turned = Tensor::empty(heads.shape(), dtype, device_);
    std::vector<int64_t> positions(static_cast<size_t>(b_.rows));
    for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int64_t>(i);
    const auto table = kernels::rotary_table(Tensor::from(positions, {b_.rows}), 1, b_.rows, 64, 0,
                                             1e4, false, dtype);
    add("rotary", heads, 2, [=] { kernels::rotate(heads, turned, table, false); });
  }

  void rows(DType dtype) {
    const Tensor x = wide(dtype, 8), dy = wide(dtype, 9), y = kernels::softmax(x, -1);
    add("softmax", x, 2, [=] { kernels::softmax(x, -1); });
    add("softmax backward", x, 3, [=] { kernels::softmax_backward(dy, y, -1); });
    std::vector<int64_t> ids(static_cast<size_t>(b_.rows));
    const RandomStream stream(RandomKey{});
    for (size_t i = 0; i < ids.size(); ++i) {
      ids[i] = static_cast<int64_t>(stream.below(i, static_cast<uint64_t>(b_.width)));
    }
    const auto targets = std::make_shared<kernels::Targets>(
        kernels::read_targets(Tensor::from(ids, {b_.rows}), b_.width, -100, "bench ops"));
    const Tensor losses = Tensor::empty({b_.rows}, DType::f32, device_);
    const Tensor lse = Tensor::empty({b_.rows}, DType::f32, device_);
    add("cross_entropy with backward", x, 3, [=] {
      kernels::cross_entropy(x, *targets, 0.0, losses, lse);
      kernels::cross_entropy_backward(x, *targets, 0.0, lse, 1.0);
    });
  }

  void optimizer() {
    const Tensor p = wide(DType::f32, 10), g = wide(DType::f32, 11);
    const Tensor m = Tensor::zeros(p.shape(), DType::f32, device_);
    const Tensor v = Tensor::zeros(p.shape(), DType::f32, device_);
    const auto updates = std::make_shared<std::vector<kernels::AdamUpdate>>();
    updates->push_back({.parameter = p, .gradient = g, .exp_avg = m, .exp_avg_sq = v, .lr = 1e-6});
    const auto gradients = std::make_shared<std::vector<Tensor>>(1, g);
    add("adamw", p, 7, [=] { kernels::adam(*updates, kernels::Decay::decoupled, 1); });
    add("gradient norm", g, 1, [=] { kernels::global_norm(*gradients); });
  }

  const OpsBench& b_;
  Device device_;
  std::vector<Case> cases_;
};

void bench_ops(const OpsBench& b) {
  const Device device = device_of_option(b.device);
  std::vector<Case> cases = Cases(b, device).all();
  for (const std::string& name : b.only) {
    const bool known =
        std::any_of(cases.begin(), cases.end(), [&](const Case& c) { return c.name == name; });
    if (known) continue;
    std::vector<std::string> names;
    for (const Case& c : cases) {
      if (c.dtype == cases.front().dtype || c.name == "adamw" || c.name == "gradient norm")
        names.push_back(c.name);
    }
    fail_request("--only: there is no '{}' (there are {})", name, fmt::join(names, ", "));
  }
  const int64_t copied = device.is_cpu() ? int64_t{128} << 20 : int64_t{1} << 30;
  const double ceiling = copy_rate(device, copied, b.seconds);
  Config list = Config::list();
  Table table({"op", "dtype", "time", "GB/s", "of a copy"}, {2, 3, 4});
  for (const Case& c : cases) {
    if (!b.only.empty() && std::find(b.only.begin(), b.only.end(), c.name) == b.only.end())
      continue;
    const double seconds = best_seconds(b.seconds, c.run, device);
    const double rate = static_cast<double>(c.bytes) / seconds;
    Config one = Config::map();
    one.set("op", c.name);
    one.set("dtype", name_of(c.dtype));
    one.set("bytes", c.bytes);
    one.set("ms", 1e3 * seconds);
    one.set("gb_s", 1e-9 * rate);
    one.set("of_copy", rate / ceiling);
    list.append(one);
    table.row({c.name, name_of(c.dtype), fmt::format("{:.4f} ms", 1e3 * seconds),
               fmt::format("{:.1f}", 1e-9 * rate), fmt::format("{:.0f}%", 100 * rate / ceiling)});
  }
  if (b.json) {
    Config document = Config::map();
    document.set("device", device.to_string());
    document.set("threads", thread_count());
    document.set("rows", b.rows);
    document.set("width", b.width);
    document.set("copy_gb_s", 1e-9 * ceiling);
    document.set("ops", list);
    return print_json(document);
  }
  fmt::print("[{}, {}] on {}; a copy reads and writes {:.1f} GB/s\n{}", b.rows, b.width,
             place_text(device), 1e-9 * ceiling, table.to_string());
}

}  // namespace

void add_bench_ops(CLI::App& bench) {
  auto arguments = std::make_shared<OpsBench>();
  OpsBench& b = *arguments;
  CLI::App* command = add_command(
      bench, "ops", "measures ops that are bound by memory, beside a copy of as many bytes");
  details(command,
          "Norms, activations, softmax, losses, dropout, rotary positions and the optimiser on "
          "[rows, width] tensors: the bytes that each must move over its time, as a share of what "
          "a copy reaches in the same run.");
  option(command, "--device", "DEVICE", b.device, "cpu, cuda or cuda:N");
  option(command, "--rows", "N", b.rows, "rows")->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  option(command, "--width", "N", b.width, "elements of a row")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  option(command, "--only", "OP ...", b.only, "these alone", false);
  option(command, "--seconds", "S", b.seconds, "to measure each for")->check(CLI::Range(0.0, 60.0));
  command->add_flag("--json", b.json, "print one JSON document");
  examples(command, {{"heed bench ops --device cuda", ""},
                     {"heed bench ops --rows 4096 --width 384 --only layer_norm gelu_tanh", ""}});
  command->callback([arguments] { bench_ops(*arguments); });
}

}  // namespace heed::tools
