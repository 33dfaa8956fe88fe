#include "tools/attention_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <sstream>

#include "core/allocator.h"
#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/readable.h"
#include "core/views.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/tile_plan.h"
#include "kernels/copy/copy.h"
#include "kernels/matmul/matmul.h"
#include "kernels/softmax/softmax.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

struct AttentionBench {
  std::string pattern = "causal";
  int64_t batch = 1, heads = 8, tokens = 1024, head_dim = 64;
  std::string grid;
  int64_t window = 0, dilation = 1, stride = 1, block = 64, halo = 3, sinks = 0;
  std::string dtype = "f32";
  double seconds = 1.0;
  bool show_pattern = false;
  bool materialised = false;
  bool json = false;

  std::vector<int64_t> axes() const {
    std::vector<int64_t> lengths;
    std::stringstream text(grid);
    for (std::string part; std::getline(text, part, 'x');) {
      try {
        lengths.push_back(std::stoll(part));
      } catch (const std::exception&) {
        lengths.push_back(0);
      }
      if (lengths.back() < 1) fail_request({}, fmt::format("--grid {}: wants HxW, as 56x56", grid));
    }
    return lengths.empty() ? std::vector<int64_t>{tokens} : lengths;
  }
};

const std::vector<std::string> kPatterns = {
    "dense", "causal", "window", "neighborhood", "window_partition", "halo", "power"};

AttentionPattern make_pattern(const AttentionBench& b, const std::vector<int64_t>& grid) {
  if (std::find(kPatterns.begin(), kPatterns.end(), b.pattern) == kPatterns.end())
    fail_request({}, fmt::format("attention: unknown pattern '{}'{}", b.pattern,
                                 did_you_mean(b.pattern, kPatterns)));
  const int64_t n = b.tokens, window = b.window > 0 ? b.window : (grid.size() > 1 ? 7 : 256);
  if (b.pattern == "dense") return {};
  if (b.pattern == "causal") return AttentionPattern::causal();
  if (b.pattern == "window") {
    const auto near = AttentionPattern::window(window - 1, 0);
    return b.sinks > 0 ? AttentionPattern::causal() & (near | AttentionPattern::prefix(b.sinks))
                       : near;
  }
  if (b.pattern == "neighborhood") {
    std::vector<NeighborhoodAxis> axes;
    for (const int64_t length : grid) axes.push_back({length, window, b.dilation, b.stride});
    return AttentionPattern::neighborhood(axes);
  }
  if (b.pattern == "window_partition")
    return AttentionPattern::windows(grid, std::vector<int64_t>(grid.size(), window));
  if (b.pattern == "halo") {
    std::vector<HaloAxis> axes;
    for (const int64_t length : grid) axes.push_back({length, b.block, b.halo});
    return AttentionPattern::halo(axes, Border::crop);
  }
  return AttentionPattern::causal() &
         AttentionPattern::blocks(b.block, n, n, [&](int64_t i, int64_t j) {
           const int64_t d = i - j;
           return d >= 0 && (d < 5 || j < 1 || (d & (d - 1)) == 0);
         });
}

Tensor normal(const Shape& shape, DType dtype, uint64_t purpose) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  const RandomStream stream({1, purpose, 0});
  for (size_t i = 0; i < values.size(); ++i) values[i] = stream.normal(i);
  return kernels::cast(Tensor::from(values, shape), dtype);
}

/// Best of the runs that fit into the time, at least two.
double best_seconds(double budget, const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  run();
  double best = HUGE_VAL;
  const auto start = Clock::now();
  for (int i = 0; i < 2 || since(start) < budget; ++i) {
    const auto begin = Clock::now();
    run();
    best = std::min(best, since(begin));
  }
  return best;
}

struct Timing {
  double forward = 0.0, both = 0.0;
  int64_t peak_bytes = 0;  // beyond the inputs
};

struct Inputs {
  Tensor q, k, v, dout;
  Inputs(const AttentionBench& b, DType dtype) {
    const Shape shape{b.batch, b.tokens, b.heads, b.head_dim};
    const auto made = [&](uint64_t purpose) {
      return views::transpose(normal(shape, dtype, purpose), 1, 2);
    };
    q = made(1), k = made(2), v = made(3), dout = made(4);
  }
};

Timing time_fused(const Inputs& in, const AttentionPattern& pattern, double seconds) {
  const AttentionSpec spec{.pattern = pattern};
  Timing t;
  const int64_t before = allocator::stats().in_use_bytes;
  allocator::reset_peak();
  t.forward = best_seconds(seconds, [&] { kernels::attention(in.q, in.k, in.v, spec); });
  t.both = best_seconds(seconds, [&] {
    const auto y = kernels::attention(in.q, in.k, in.v, spec);
    kernels::attention_backward(in.dout, {}, in.q, in.k, in.v, y, spec, true, true);
  });
  t.peak_bytes = allocator::stats().peak_bytes - before;
  return t;
}

/// Masked attention as it is often written: scores in memory, a mask of -infinity added to them.
Timing time_materialised(const Inputs& in, const AttentionPattern& pattern, double seconds) {
  const int64_t n = in.q.size(2);
  std::vector<float> mask(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      mask[static_cast<size_t>(i * n + j)] = pattern.allowed(0, 0, i, j) ? 0.0f : -1e30f;
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(in.q.size(3))));
  Timing t;
  const int64_t before = allocator::stats().in_use_bytes;
  allocator::reset_peak();
  t.forward = best_seconds(seconds, [&] {
    const Tensor scores = kernels::matmul(kernels::cast(in.q, DType::f32),
                                          views::transpose(kernels::cast(in.k, DType::f32), 2, 3));
    auto* s = scores.data<float>();
    parallel_for(scores.numel() / n, 16, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* m = mask.data() + row % n * n;
        for (int64_t j = 0; j < n; ++j) s[row * n + j] = s[row * n + j] * scale + m[j];
      }
    });
    kernels::matmul(kernels::softmax(scores, -1), kernels::cast(in.v, DType::f32));
  });
  t.peak_bytes = allocator::stats().peak_bytes - before;
  return t;
}

void bench_attention(AttentionBench b) {
  const std::vector<int64_t> grid = b.axes();
  b.tokens = 1;
  for (const int64_t length : grid) b.tokens *= length;
  const AttentionPattern pattern = make_pattern(b, grid);
  const PatternExtents extents{b.batch, b.heads, b.tokens, b.tokens};
  const auto plan = kernels::attn::tile_plan(pattern, extents);
  if (b.show_pattern) return fmt::print("{}", picture(pattern, extents));

  const Inputs in(b, b.dtype == "bf16" ? DType::bf16 : DType::f32);
  const Timing own = time_fused(in, pattern, b.seconds);
  const Timing dense = time_fused(in, {}, b.seconds);
  const double pairs = static_cast<double>(plan->pairs());
  const double all = static_cast<double>(b.batch * b.heads * b.tokens * b.tokens);
  const double density = pairs / all, width = static_cast<double>(b.head_dim);
  const double rate = 4e-9 * pairs * width / own.forward, both = 14e-9 * pairs * width / own.both;
  Timing plain;
  if (b.materialised) plain = time_materialised(in, pattern, b.seconds);
  if (b.json) {
    Config document = Config::map();
    document.set("pattern", pattern.text());
    document.set("threads", thread_count());
    document.set("pairs", plan->pairs());
    document.set("density", density);
    document.set("full_tiles", plan->full_tiles());
    document.set("partial_tiles", plan->partial_tiles());
    document.set("forward_ms", 1e3 * own.forward);
    document.set("forward_backward_ms", 1e3 * own.both);
    document.set("forward_gflops", rate);
    document.set("forward_backward_gflops", both);
    document.set("dense_forward_ms", 1e3 * dense.forward);
    document.set("dense_forward_backward_ms", 1e3 * dense.both);
    document.set("peak_bytes", own.peak_bytes);
    if (b.materialised) {
      document.set("materialised_forward_ms", 1e3 * plain.forward);
      document.set("materialised_peak_bytes", plain.peak_bytes);
    }
    return print_json(document);
  }
  fmt::print(
      "{}: {} pairs ({:.2f}% of all), {} full and {} partial tiles of 64 x 64, {} thread{}\n",
      b.pattern, grouped(plan->pairs()), 100 * density, grouped(plan->full_tiles()),
      grouped(plan->partial_tiles()), thread_count(), thread_count() == 1 ? "" : "s");
  Table table({"", "forward", "GFLOP/s", "with backward", "GFLOP/s", "peak memory"},
              {1, 2, 3, 4, 5});
  const auto row = [&](const char* name, const Timing& t, double of) {
    table.row({name, fmt::format("{:.3f} ms", 1e3 * t.forward),
               fmt::format("{:.1f}", 4e-9 * of * width / t.forward),
               t.both > 0 ? fmt::format("{:.3f} ms", 1e3 * t.both) : "",
               t.both > 0 ? fmt::format("{:.1f}", 14e-9 * of * width / t.both) : "",
               format_bytes(t.peak_bytes)});
  };
  row(b.pattern.c_str(), own, pairs);
  row("dense", dense, all);
  if (b.materialised) row("materialised, masked", plain, pairs);
  fmt::print("{}", table.to_string());
  fmt::print(
      "{:.1f} times as fast as dense forward, {:.1f} with backward; by the density alone: "
      "{:.1f}\n",
      dense.forward / own.forward, dense.both / own.both, 1 / density);
  if (b.materialised)
    fmt::print("{:.1f} times as fast as masked scores in memory\n", plain.forward / own.forward);
}

}  // namespace

void add_bench_attention(CLI::App& bench) {
  auto arguments = std::make_shared<AttentionBench>();
  AttentionBench& a = *arguments;
  CLI::App* command =
      add_command(bench, "attention", "measures one attention pattern against dense attention");
  details(command,
          "Times the fused kernels on random inputs, forward and backward, beside dense attention "
          "of the same shape, and counts the pairs and tiles of the pattern.");
  positional(command, "PATTERN", a.pattern,
             "dense, causal, window, neighborhood, window_partition, halo or power");
  const auto count = [&](const char* name, int64_t& value, const char* doc, int64_t least) {
    option(command, name, "N", value, doc)->check(CLI::Range(least, int64_t{1} << 24));
  };
  count("--batch", a.batch, "sequences", 1);
  count("--heads", a.heads, "heads", 1);
  count("--tokens", a.tokens, "tokens of a sequence", 1);
  option(command, "--grid", "HxW", a.grid, "tokens on a map, instead of --tokens", false);
  count("--head-dim", a.head_dim, "features of a head", 1);
  count("--window", a.window, "tokens of a window (along each axis); 0: 256, or 7 on a map", 0);
  count("--dilation", a.dilation, "of a neighborhood", 1);
  count("--stride", a.stride, "of a neighborhood", 1);
  count("--block", a.block, "tokens of a block: halo, power", 1);
  count("--halo", a.halo, "tokens of the halo", 0);
  count("--sinks", a.sinks, "first tokens that all see: window", 0);
  option(command, "--dtype", "f32|bf16", a.dtype, "of the inputs")
      ->check(CLI::IsMember({"f32", "bf16"}));
  option(command, "--seconds", "S", a.seconds, "to measure each for")->check(CLI::Range(0.0, 60.0));
  command->add_flag("--show-pattern", a.show_pattern, "print the pattern as text instead");
  command->add_flag("--materialised", a.materialised,
                    "also time masked scores in memory (forward, f32)");
  command->add_flag("--json", a.json, "print one JSON document");
  examples(command,
           {{"heed bench attention window --tokens 4096 --window 256", ""},
            {"heed bench attention neighborhood --grid 56x56 --window 7 --materialised", ""},
            {"heed bench attention power --tokens 2048 --show-pattern", ""}});
  command->callback([arguments] { bench_attention(*arguments); });
}

}  // namespace heed::tools
