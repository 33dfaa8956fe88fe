#include "tools/attention_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/readable.h"
#include "kernels/attention/tile_plan.h"
#include "recipes/engine/report/chart.h"
#include "tools/attention_timing.h"
#include "tools/bench_pattern.h"
#include "tools/command.h"
#include "tools/device_timing.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

struct AttentionBench {
  BenchPattern pattern;
  AttentionShape shape;
  double seconds = 1.0;
  std::string sweep, plot, python, form;
  bool show_pattern = false, materialised = false, unfused = false, pytorch = false, json = false;
  bool portable = false;
};

/// One problem, measured.
struct Measured {
  AttentionShape shape;
  std::string name;  // of the pattern
  std::string text;
  int64_t pairs = 0, full_tiles = 0, partial_tiles = 0;
  AttentionTiming own, dense, portable, materialised, naive, product;
  std::string kernels;  // of a device
  std::optional<PyTorchTimings> pytorch;
  std::string note;  // why not

  double all_pairs() const {
    return static_cast<double>(shape.batch * shape.heads * shape.tokens * shape.tokens);
  }
  double density() const { return static_cast<double>(pairs) / all_pairs(); }
  /// GFLOP/s of `passes` products as wide as a head (2 forward, 7 with backward).
  double rate(double of_pairs, double passes, double seconds) const {
    return seconds > 0 ? 2e-9 * of_pairs * passes * static_cast<double>(shape.head_dim) / seconds
                       : 0;
  }
};

AttentionShape shape_of(const AttentionBench& b, const BenchPattern& pattern) {
  AttentionShape shape = b.shape;
  shape.tokens = 1;
  for (const int64_t length : pattern.axes()) shape.tokens *= length;
  return shape;
}

/// `before`: one of the same shape, whose dense attention is not measured again.
Measured measure(const AttentionBench& b, const BenchPattern& wanted,
                 const Measured* before = nullptr) {
  Measured m;
  m.shape = shape_of(b, wanted);
  m.name = wanted.name;
  const AttentionPattern pattern = wanted.make();
  m.text = pattern.text();
  const auto plan = kernels::attn::tile_plan(
      pattern, {m.shape.batch, m.shape.heads, m.shape.tokens, m.shape.tokens});
  m.pairs = plan->pairs();
  m.full_tiles = plan->full_tiles(), m.partial_tiles = plan->partial_tiles();
  m.own = time_fused(m.shape, pattern, b.seconds);
  m.dense = pattern.is_dense() ? m.own
            : before           ? before->dense
                               : time_fused(m.shape, {}, b.seconds);
  const auto form = [&](const char* name) {
    return time_form(name, m.shape, pattern, wanted.neighborhood_axes(), b.seconds);
  };
  m.kernels = fused_kernels_taken(m.shape, pattern);
  if (b.portable) m.portable = time_portable(m.shape, pattern, b.seconds);
  if (b.materialised) m.materialised = form("masked");
  if (b.unfused) m.naive = form("naive"), m.product = form("product");
  if (b.pytorch) {
    const AttentionTiming* dense = before && before->pytorch ? &before->pytorch->dense : nullptr;
    m.pytorch = time_pytorch(b.python, m.shape, pattern, b.seconds, dense, &m.note);
  }
  return m;
}

/// What the problem is.
Config document_of(const AttentionShape& shape, const std::string& pattern) {
  Config document = Config::map();
  document.set("pattern", pattern);
  document.set("device", shape.device.to_string());
  document.set("threads", thread_count());
  document.set("batch", shape.batch);
  document.set("heads", shape.heads);
  document.set("kv_heads", shape.key_heads());
  document.set("tokens", shape.tokens);
  document.set("head_dim", shape.head_dim);
  document.set("dtype", name_of(shape.dtype));
  return document;
}

Config document_of(const Measured& m) {
  Config document = document_of(m.shape, m.text);
  document.set("pairs", m.pairs);
  document.set("density", m.density());
  document.set("full_tiles", m.full_tiles);
  document.set("partial_tiles", m.partial_tiles);
  const auto pairs = static_cast<double>(m.pairs);
  const auto add = [&](const std::string& prefix, const AttentionTiming& t, double of) {
    document.set(prefix + "forward_ms", 1e3 * t.forward);
    if (t.both > 0) document.set(prefix + "forward_backward_ms", 1e3 * t.both);
    document.set(prefix + "forward_gflops", m.rate(of, 2, t.forward));
    if (t.both > 0) document.set(prefix + "forward_backward_gflops", m.rate(of, 7, t.both));
    if (t.peak_bytes > 0) document.set(prefix + "peak_bytes", t.peak_bytes);
  };
  add("", m.own, pairs);
  add("dense_", m.dense, m.all_pairs());
  if (!m.kernels.empty()) document.set("kernels", m.kernels);
  if (m.portable.forward > 0) add("portable_", m.portable, pairs);
  if (m.materialised.forward > 0) add("materialised_", m.materialised, pairs);
  if (m.naive.forward > 0) add("naive_", m.naive, pairs), add("product_", m.product, pairs);
  if (m.pytorch) {
    document.set("pytorch", m.pytorch->version);
    if (!m.pytorch->kernel.empty()) document.set("pytorch_kernel", m.pytorch->kernel);
    add("pytorch_", m.pytorch->pattern, pairs);
    add("pytorch_dense_", m.pytorch->dense, m.all_pairs());
  }
  if (!m.note.empty()) document.set("note", m.note);
  return document;
}

/// "12.0% of dense's time, 79% of the density's ideal": of the speed-up of as many fewer pairs.
std::string share_of_dense(const Measured& m, double own, double dense) {
  return fmt::format("{:.1f}% of dense's time, {:.0f}% of the density's ideal", 100 * own / dense,
                     100 * m.density() * dense / own);
}

void print(const Measured& m) {
  fmt::print("{}: {} pairs ({:.2f}% of all), {} full and {} partial tiles of 64 x 64, {}{}\n",
             m.name, grouped(m.pairs), 100 * m.density(), grouped(m.full_tiles),
             grouped(m.partial_tiles), place_text(m.shape.device),
             m.kernels.empty() ? "" : fmt::format(", {} kernels", m.kernels));
  Table table({"", "forward", "GFLOP/s", "with backward", "GFLOP/s", "peak memory"},
              {1, 2, 3, 4, 5});
  const auto row = [&](const std::string& name, const AttentionTiming& t, double of) {
    table.row({name, fmt::format("{:.3f} ms", 1e3 * t.forward),
               fmt::format("{:.1f}", m.rate(of, 2, t.forward)),
               t.both > 0 ? fmt::format("{:.3f} ms", 1e3 * t.both) : "",
               t.both > 0 ? fmt::format("{:.1f}", m.rate(of, 7, t.both)) : "",
               t.peak_bytes > 0 ? format_bytes(t.peak_bytes) : ""});
  };
  const auto pairs = static_cast<double>(m.pairs);
  const bool sparse = m.name != "dense";
  row(m.name, m.own, pairs);
  if (sparse) row("dense", m.dense, m.all_pairs());
  if (m.portable.forward > 0) row("portable kernels", m.portable, pairs);
  if (m.materialised.forward > 0) row("materialised, masked", m.materialised, pairs);
  if (m.naive.forward > 0) {
    row("weights stored, naive", m.naive, pairs);
    row("weights stored, products", m.product, pairs);
  }
  if (m.pytorch) {
    row(fmt::format("PyTorch {}, {}", m.pytorch->version, m.name), m.pytorch->pattern, pairs);
    if (sparse) row("PyTorch, dense", m.pytorch->dense, m.all_pairs());
  }
  fmt::print("{}", table.to_string());
  if (sparse) {
    fmt::print("forward: {}\nwith backward: {}\n",
               share_of_dense(m, m.own.forward, m.dense.forward),
               share_of_dense(m, m.own.both, m.dense.both));
  }
  if (m.materialised.forward > 0)
    fmt::print("{:.1f} times as fast as masked scores in memory\n",
               m.materialised.forward / m.own.forward);
  if (m.pytorch) {
    fmt::print("{:.2f} times as fast as PyTorch forward, {:.2f} with backward\n",
               m.pytorch->pattern.forward / m.own.forward, m.pytorch->pattern.both / m.own.both);
  }
  if (!m.note.empty()) fmt::print("{}\n", m.note);
}

/// The problems of a sweep: doubling tokens, the last as many as were asked for, or doubling
/// windows.
std::vector<BenchPattern> sweep_of(const AttentionBench& b) {
  std::vector<BenchPattern> list;
  BenchPattern each = b.pattern;
  if (b.sweep == "tokens") {
    if (!b.pattern.grid.empty()) fail_request({}, "--sweep tokens takes --tokens, not --grid");
    for (each.tokens = 256; each.tokens < b.pattern.tokens; each.tokens *= 2) list.push_back(each);
    list.push_back(b.pattern);
    return list;
  }
  if (!b.pattern.has_window())
    fail_request(
        {}, fmt::format("--sweep window: pattern '{}' has no window to widen", b.pattern.name));
  const auto axes = b.pattern.axes();
  const int64_t widest = *std::min_element(axes.begin(), axes.end());
  for (int64_t part = 64; part >= 1; part /= 2) {
    each.window = std::max<int64_t>(1, widest / part);
    if (list.empty() || each.window != list.back().window) list.push_back(each);
  }
  return list;
}

void print_sweep(const AttentionBench& b, const std::vector<Measured>& list) {
  std::vector<std::string> header = {"tokens",        "density", "forward",
                                     "with backward", "dense",   "of dense"};
  if (b.pytorch) header.insert(header.end(), {"PyTorch", "its dense"});
  Table table(header, {0, 1, 2, 3, 4, 5, 6, 7});
  const auto ms = [](double seconds) { return fmt::format("{:.3f} ms", 1e3 * seconds); };
  for (const Measured& m : list) {
    std::vector<std::string> row = {
        grouped(m.shape.tokens), fmt::format("{:.2f}%", 100 * m.density()),
        ms(m.own.forward),       ms(m.own.both),
        ms(m.dense.both),        fmt::format("{:.1f}%", 100 * m.own.both / m.dense.both)};
    if (m.pytorch) row.insert(row.end(), {ms(m.pytorch->pattern.both), ms(m.pytorch->dense.both)});
    table.row(row);
  }
  fmt::print("{}, {}; the last columns with backward\n{}", b.pattern.name,
             place_text(b.shape.device), table.to_string());
  if (!list.empty() && !list.back().note.empty()) fmt::print("{}\n", list.back().note);
}

/// Time, forward and backward, against density or tokens.
void plot_sweep(const AttentionBench& b, const std::vector<Measured>& list) {
  using recipes::Line;
  const AttentionShape& s = list.back().shape;
  const bool by_tokens = b.sweep == "tokens";
  recipes::ChartOptions options;
  options.title = fmt::format("Attention, {}", b.pattern.name);
  options.unit = fmt::format(
      "ms forward and backward by {}; batch {}, {} heads of {}, {}, {}",
      by_tokens ? "tokens" : fmt::format("share of pairs, {} tokens", grouped(s.tokens)), s.batch,
      s.heads, s.head_dim, name_of(s.dtype), place_text(s.device));
  options.log_scale = true;
  std::vector<Line> lines;
  /// A line of what `seconds` gives for each problem; 0: none.
  const auto add = [&](Line line, const auto& seconds) {
    for (size_t i = 0; i < list.size(); ++i) {
      const double y = 1e3 * seconds(list[i]);
      if (y > 0) line.points.add(static_cast<double>(i), y);
    }
    lines.push_back(std::move(line));
  };
  for (const Measured& m : list)
    options.x_labels.push_back(by_tokens ? grouped(m.shape.tokens)
                                         : fmt::format("{:.3g}%", 100 * m.density()));
  const bool sparse = b.pattern.name != "dense";
  add({.label = fmt::format("heed, {}", b.pattern.name), .color = 0, .dots = true},
      [](const Measured& m) { return m.own.both; });
  if (sparse) {
    add({.label = "heed, dense", .color = 1, .dots = true},
        [](const Measured& m) { return m.dense.both; });
    add({.label = "heed's dense times the share of pairs", .color = 7, .dashed = true},
        [](const Measured& m) { return m.dense.both * m.density(); });
  }
  if (list.back().pytorch) {
    add({.label = fmt::format("PyTorch {}, {}", list.back().pytorch->version,
                              list.back().pytorch->masked ? "masked" : b.pattern.name),
         .color = 4,
         .dots = true},
        [](const Measured& m) { return m.pytorch ? m.pytorch->pattern.both : 0.0; });
    if (sparse)
      add({.label = "PyTorch, dense", .color = 6, .dots = true},
          [](const Measured& m) { return m.pytorch ? m.pytorch->dense.both : 0.0; });
  }
  write_file_atomically(b.plot, recipes::chart_file(options, lines));
}

void run_sweep(const AttentionBench& b) {
  std::vector<Measured> list;
  for (const BenchPattern& pattern : sweep_of(b)) {
    const bool same = b.sweep == "window" && !list.empty();
    list.push_back(measure(b, pattern, same ? &list.front() : nullptr));
  }
  if (!b.plot.empty()) plot_sweep(b, list);
  if (!b.json) return print_sweep(b, list);
  Config documents = Config::list();
  for (const Measured& m : list) documents.append(document_of(m));
  Config document = Config::map();
  document.set("sweep", documents);
  print_json(document);
}

/// One form by itself: what a claim compares.
void bench_form(const AttentionBench& b) {
  const AttentionShape shape = shape_of(b, b.pattern);
  const AttentionPattern pattern = b.pattern.make();
  const auto axes = b.pattern.neighborhood_axes();
  const AttentionTiming t = time_form(b.form, shape, pattern, axes, b.seconds);
  Config document = document_of(shape, pattern.text());
  document.set("form", b.form);
  document.set("forward_ms", 1e3 * t.forward);
  document.set("forward_backward_ms", 1e3 * t.both);
  document.set("forward_peak_bytes", t.forward_peak_bytes);
  document.set("peak_bytes", t.peak_bytes);
  // The kernels against what is nearest to the definition, the others against the kernels.
  const std::string other = b.form != "fused" ? "fused" : axes.empty() ? "masked" : "naive";
  document.set("difference", form_difference(b.form, other, shape, pattern, axes));
  if (b.json) return print_json(document);
  fmt::print(
      "{}, {}: forward {:.3f} ms, with backward {:.3f} ms, {} beyond the inputs; within {:.1e} "
      "of {}\n",
      b.pattern.name, b.form, 1e3 * t.forward, 1e3 * t.both, format_bytes(t.peak_bytes),
      document.at("difference").as_number(), other);
}

void bench_attention(AttentionBench b) {
  if (b.python.empty()) {
    const char* python = std::getenv("HEED_PYTHON");
    b.python = python != nullptr && *python != '\0' ? python : "python3";
  }
  b.pattern.batch = b.shape.batch;
  const int64_t kv_heads = b.shape.kv_heads;
  if (kv_heads > 0 && b.shape.heads % kv_heads != 0)
    fail_request({},
                 fmt::format("--kv-heads {} does not divide --heads {}", kv_heads, b.shape.heads));
  const bool on_host = b.materialised || b.unfused || (!b.form.empty() && b.form != "fused");
  if (on_host && !b.shape.device.is_cpu())
    fail_request({},
                 "--materialised, --unfused and forms other than fused run on the CPU alone: leave "
                 "--device out");
  const bool masked = b.pytorch || b.materialised || b.form == "masked";
  if (b.pattern.name == "lengths" && b.shape.batch > 1 && masked)
    fail_request({},
                 "--pytorch, --materialised and --form masked have one mask, not one of each "
                 "sequence");
  if (b.portable && b.shape.device.is_cpu())
    fail_request({}, "--portable is of a device's kernels: name one with --device");
  const AttentionPattern pattern = b.pattern.make();
  if (b.show_pattern) {
    const AttentionShape s = shape_of(b, b.pattern);
    return fmt::print("{}", picture(pattern, {s.batch, s.heads, s.tokens, s.tokens}));
  }
  if (!b.form.empty()) return bench_form(b);
  if (!b.sweep.empty()) return run_sweep(b);
  const Measured m = measure(b, b.pattern);
  b.json ? print_json(document_of(m)) : print(m);
}

}  // namespace

void add_bench_attention(CLI::App& bench) {
  auto arguments = std::make_shared<AttentionBench>();
  AttentionBench& a = *arguments;
  CLI::App* command =
      add_command(bench, "attention", "measures one attention pattern against dense attention");
  details(command,
          "Times the fused kernels on random inputs, forward and backward, beside dense attention "
          "of the same shape, and counts the pairs and tiles of the pattern. With --pytorch, "
          "PyTorch's scaled_dot_product_attention on as many threads: causal by its flag, other "
          "patterns by a boolean mask. With one thread (OMP_NUM_THREADS=1), times are the "
          "processor's.");
  positional(command, "PATTERN", a.pattern.name,
             fmt::format("{}", fmt::join(bench_patterns(), ", ")));
  const auto count = [&](const char* name, int64_t& value, const char* doc, int64_t least) {
    option(command, name, "N", value, doc)->check(CLI::Range(least, int64_t{1} << 24));
  };
  count("--batch", a.shape.batch, "sequences", 1);
  count("--heads", a.shape.heads, "heads", 1);
  count("--kv-heads", a.shape.kv_heads, "heads of keys and values; 0: as many", 0);
  count("--tokens", a.pattern.tokens, "tokens of a sequence", 1);
  option(command, "--grid", "HxW", a.pattern.grid,
         "tokens on a map (or a clip, TxHxW), instead of --tokens", false);
  count("--head-dim", a.shape.head_dim, "features of a head", 1);
  count("--window", a.pattern.window, "tokens of a window (along each axis); 0: 256, or 7 on a map",
        0);
  count("--dilation", a.pattern.dilation, "of a neighborhood, of taps", 1);
  count("--stride", a.pattern.stride, "of a neighborhood; distance of strided's keys", 1);
  count("--block", a.pattern.block,
        "tokens of a block: halo, power, block_window; of a document: segments", 1);
  count("--halo", a.pattern.halo, "tokens of the halo", 0);
  count("--sinks", a.pattern.sinks, "first tokens that all see: window, longformer", 0);
  count("--kept", a.pattern.kept, "keys that are drawn: indices (each query's), random_sources", 1);
  count("--shift", a.pattern.shift, "tokens by which window_partition's windows are shifted", 0);
  command->add_flag("--causal", a.pattern.causal, "a neighborhood of the past alone");
  const auto dtype = std::make_shared<std::string>(name_of(a.shape.dtype));
  option(command, "--dtype", "f32|bf16", *dtype, "of the inputs")
      ->check(CLI::IsMember({"f32", "bf16"}));
  const auto device = std::make_shared<std::string>(a.shape.device.to_string());
  option(command, "--device", "DEVICE", *device, "cpu, cuda or cuda:N");
  option(command, "--seconds", "S", a.seconds, "to measure each for")->check(CLI::Range(0.0, 60.0));
  CLI::Option* sweep =
      option(command, "--sweep", "tokens|window", a.sweep,
             "one line for each of doubling lengths up to --tokens, or of doubling windows", false)
          ->check(CLI::IsMember({"tokens", "window"}));
  CLI::Option* plot =
      option(command, "--plot", "FILE.svg", a.plot, "draw the sweep's times", false)->needs(sweep);
  command->add_flag("--show-pattern", a.show_pattern, "print the pattern as text instead");
  CLI::Option* materialised = command->add_flag(
      "--materialised", a.materialised, "also time masked scores of all pairs in memory (f32)");
  CLI::Option* unfused = command->add_flag(
      "--unfused", a.unfused,
      "also time a neighborhood whose weights are stored: naive, and by products");
  CLI::Option* portable = command->add_flag(
      "--portable", a.portable,
      "also time the portable kernels, where those for sm_90a are a device's choice");
  CLI::Option* pytorch = command->add_flag("--pytorch", a.pytorch, "also time PyTorch");
  CLI::Option* form =
      option(command, "--form", "FORM", a.form,
             fmt::format("time one form alone and compare its results with another's: {}",
                         fmt::join(attention_forms(), ", ")),
             false)
          ->check(CLI::IsMember(attention_forms()));
  for (CLI::Option* beside : {sweep, plot, portable, materialised, unfused, pytorch})
    form->excludes(beside);
  option(command, "--python", "PROGRAM", a.python,
         "the Python that has torch; default: $HEED_PYTHON, else python3", false);
  command->add_flag("--json", a.json, "print one JSON document");
  examples(command,
           {{"heed bench attention window --tokens 4096 --window 256", ""},
            {"heed bench attention neighborhood --grid 56x56 --window 7 --materialised", ""},
            {"heed bench attention neighborhood --grid 16x16x16 --window 5 --unfused", ""},
            {"heed bench attention causal --dtype bf16 --pytorch", ""},
            {"heed bench attention causal --dtype bf16 --device cuda --tokens 16384 --pytorch", ""},
            {"heed bench attention window --tokens 4096 --sweep window --plot times.svg", ""},
            {"heed bench attention power --tokens 2048 --show-pattern", ""}});
  command->callback([arguments, dtype, device] {
    arguments->shape.device = device_of_option(*device);
    arguments->shape.dtype = *dtype == "bf16" ? DType::bf16 : DType::f32;
    bench_attention(*arguments);
  });
}

}  // namespace heed::tools
