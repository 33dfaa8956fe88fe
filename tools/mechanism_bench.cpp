#include "tools/mechanism_bench.h"

#include <fmt/format.h>

#include <memory>

#include "core/allocator.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/readable.h"
#include "kernels/random/fill.h"
#include "nn/attention/registry.h"
#include "tools/attention_timing.h"
#include "tools/bench_pattern.h"
#include "tools/device_timing.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

struct MechanismBench {
  std::string slot;
  nn::AttentionHost host{.dim = 256, .heads = 4};
  int64_t batch = 4, tokens = 1024;
  std::vector<int64_t> grid;
  bool bidirectional = false, bf16 = false, json = false;
  double seconds = 1.0;
  Device device = kCpu;
};

struct MechanismTiming {
  AttentionTiming time;
  double flops = 0.0;  // of a forward pass
  int64_t parameters = 0;
};

const char* dtype_of(const MechanismBench& b) { return b.bf16 ? "bf16" : "f32"; }

Tensor normal(const Shape& shape, uint64_t purpose, DType dtype, Device device) {
  const Tensor t = Tensor::empty(shape, dtype);
  kernels::fill_normal(t, 0.0, 1.0, {1, purpose, 0});
  return t.to(device);
}

MechanismTiming measure(const MechanismBench& b, const Config& slot) {
  const auto mechanism = nn::make_attention(slot, b.host);
  mechanism->initialise(1);
  mechanism->to(b.device);
  const DType dtype = b.bf16 ? DType::bf16 : DType::f32;
  if (b.bf16) mechanism->compute_in(DType::bf16);
  const Shape shape{b.batch, b.tokens, b.host.dim};
  Tensor x = normal(shape, 1, dtype, b.device);
  const Tensor dy = normal(shape, 2, dtype, b.device);
  require_grad(x);
  nn::AttentionContext context;
  for (size_t i = 0; i < b.grid.size(); ++i) context.grid.insert(static_cast<int>(i), b.grid[i]);
  const auto parameters = mechanism->named_parameters();

  MechanismTiming m;
  m.flops = static_cast<double>(b.batch) * mechanism->flops(b.tokens);
  m.parameters = mechanism->parameter_count();
  const int64_t before = allocator::stats(b.device).in_use_bytes;
  allocator::reset_peak(b.device);
  const auto forward = [&] {
    const NoGrad none;
    mechanism->forward(x, context);
  };
  const auto both = [&] {
    backward(mechanism->forward(x, context), dy);
    clear_grad(x);
    for (const auto& p : parameters) clear_grad(*p.tensor);
  };
  m.time.forward = best_seconds(b.seconds, forward, b.device);
  m.time.both = best_seconds(b.seconds, both, b.device);
  m.time.peak_bytes = allocator::stats(b.device).peak_bytes - before;
  return m;
}

Config document_of(const MechanismTiming& m) {
  return Config(Config::Map{{"forward_ms", 1e3 * m.time.forward},
                            {"forward_backward_ms", 1e3 * m.time.both},
                            {"forward_gflop", 1e-9 * m.flops},
                            {"peak_bytes", m.time.peak_bytes},
                            {"parameters", m.parameters}});
}

void bench_mechanism(const MechanismBench& b) {
  const Config slot = parse_yaml(b.slot, "SLOT");
  const MechanismTiming own = measure(b, slot);
  const MechanismTiming softmax = measure(b, Config("softmax"));
  if (b.json) {
    Config document = Config::map();
    document.set("slot", slot);
    document.set("device", b.device.to_string());
    document.set("threads", thread_count());
    document.set("batch", b.batch);
    document.set("tokens", b.tokens);
    document.set("dim", b.host.dim);
    document.set("heads", b.host.heads);
    document.set("kv_heads", b.host.resolved().kv_heads);
    document.set("position", b.host.position);
    document.set("causal", b.host.causal);
    document.set("dtype", dtype_of(b));
    Config grid = Config::list();
    for (const int64_t length : b.grid) grid.append(length);
    document.set("grid", grid);
    document.set("mechanism", document_of(own));
    document.set("softmax", document_of(softmax));
    return print_json(document);
  }
  Table table({"", "forward", "with backward", "GFLOP forward", "peak memory", "parameters"},
              {1, 2, 3, 4, 5});
  const auto row = [&](const std::string& name, const MechanismTiming& m) {
    table.row({name, fmt::format("{:.3f} ms", 1e3 * m.time.forward),
               fmt::format("{:.3f} ms", 1e3 * m.time.both), fmt::format("{:.3f}", 1e-9 * m.flops),
               format_bytes(m.time.peak_bytes), grouped(m.parameters)});
  };
  row(b.slot, own);
  row("softmax", softmax);
  fmt::print(
      "[{}, {}, {}], {} heads, {}, {}\n{}{:.2f} times softmax's time forward, {:.2f} with "
      "backward\n",
      b.batch, b.tokens, b.host.dim, b.host.heads, dtype_of(b), place_text(b.device),
      table.to_string(), own.time.forward / softmax.time.forward,
      own.time.both / softmax.time.both);
}

}  // namespace

void add_bench_mechanism(CLI::App& bench) {
  auto arguments = std::make_shared<MechanismBench>();
  MechanismBench& b = *arguments;
  CLI::App* command = add_command(
      bench, "mechanism", "measures an attention mechanism, projections included, against softmax");
  details(command,
          "Times the module that a model's `attention:` slot would hold, forward alone and with "
          "the backward pass, on random inputs. tests/interop/mechanism_bench.py runs it beside "
          "PyTorch. With one thread (OMP_NUM_THREADS=1), times are the processor's.");
  positional(command, "SLOT", b.slot,
             "a mechanism, as in a recipe: power, '{type: power, block: 64}'")
      ->required();
  const auto count = [&](const char* name, int64_t& value, const char* doc) {
    option(command, name, "N", value, doc)->check(CLI::Range(int64_t{0}, int64_t{1} << 24));
  };
  count("--batch", b.batch, "sequences");
  count("--tokens", b.tokens, "tokens of a sequence");
  count("--dim", b.host.dim, "features of a token");
  count("--heads", b.host.heads, "heads");
  count("--kv-heads", b.host.kv_heads, "heads of keys and values; 0: as many");
  const auto grid = std::make_shared<std::string>();
  option(command, "--grid", "HxW", *grid, "tokens on a map, instead of --tokens", false);
  const auto device = std::make_shared<std::string>(b.device.to_string());
  option(command, "--device", "DEVICE", *device, "cpu, cuda or cuda:N");
  option(command, "--position", "none|rotary|alibi", b.host.position, "positions in attention");
  command->add_flag("--bidirectional", b.bidirectional, "every token sees all others");
  command->add_flag("--bf16", b.bf16, "inputs and products in bf16");
  option(command, "--seconds", "S", b.seconds, "to measure each for")->check(CLI::Range(0.0, 60.0));
  command->add_flag("--json", b.json, "print one JSON document");
  examples(command,
           {{"heed bench mechanism '{type: power, block: 64}' --tokens 4096", ""},
            {"heed bench mechanism neighborhood --grid 56x56 --bidirectional --batch 1", ""}});
  command->callback([arguments, grid, device] {
    MechanismBench& own = *arguments;
    own.device = device_of_option(*device);
    own.host.causal = !own.bidirectional;
    if (!grid->empty()) {
      own.grid = grid_lengths(*grid);
      own.tokens = 1;
      for (const int64_t length : own.grid) own.tokens *= length;
    }
    if (own.batch < 1 || own.tokens < 1)
      fail_request("bench mechanism: --batch and --tokens need numbers above 0");
    Config host = Config(Config::Map{{"dim", own.host.dim},
                                     {"heads", own.host.heads},
                                     {"kv_heads", own.host.kv_heads},
                                     {"position", own.host.position},
                                     {"causal", own.host.causal}});
    own.host = read_options<nn::AttentionHost>(host, "bench mechanism");
    bench_mechanism(own);
  });
}

}  // namespace heed::tools
