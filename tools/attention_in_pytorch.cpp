// PyTorch's scaled_dot_product_attention, timed by a script in a Python of its own.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "core/config.h"
#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "recipes/engine/child_process.h"
#include "tools/attention_timing.h"
#include "tools/temporary_folder.h"

namespace heed::tools {
namespace {

constexpr char kScript[] = R"py(
import json, sys, time
request = json.loads(sys.argv[1])
try:
    import torch
    from torch.nn.functional import scaled_dot_product_attention as attention
except Exception as error:
    print(json.dumps({"error": f"cannot import torch ({error})"}))
    sys.exit(0)
torch.set_num_threads(request["threads"])
device = request["device"]
on_gpu = device != "cpu"
if on_gpu and not torch.cuda.is_available():
    print(json.dumps({"error": "has a torch that sees no GPU"}))
    sys.exit(0)
n = request["tokens"]
dtype = torch.bfloat16 if request["dtype"] == "bf16" else torch.float32
torch.manual_seed(1)
def made(heads):
    shape = (request["batch"], n, heads, request["head_dim"])
    return torch.randn(shape, device=device).to(dtype).transpose(1, 2)
heads, kv_heads = request["heads"], request["kv_heads"]
q, k, v, dout = made(heads), made(kv_heads), made(kv_heads), made(heads)
grouped = {"enable_gqa": True} if kv_heads != heads else {}
inputs = [t.requires_grad_() for t in (q, k, v)]

clock = time.process_time if request["threads"] == 1 and not on_gpu else time.perf_counter

# As heed's own: on a GPU rounds of at least 5 ms, each waited for once.
def best(step):
    def round_of(calls):
        begin = clock()
        for _ in range(calls):
            step()
        if on_gpu:
            torch.cuda.synchronize()
        return (clock() - begin) / calls
    round_of(1)
    calls = 1
    if on_gpu:
        calls = min(1000, max(1, int(5e-3 / min(round_of(1), round_of(1))) + 1))
    least, runs, start = float("inf"), 0, clock()
    while runs < 2 or clock() - start < request["seconds"]:
        least = min(least, round_of(calls))
        runs += 1
    return least

# On a GPU each kernel that takes the problem; the fastest counts, forward and backward by itself.
def kernels():
    if not on_gpu:
        return [("", None)]
    from torch.nn.attention import SDPBackend as Backend
    return [("flash", Backend.FLASH_ATTENTION), ("cuDNN", Backend.CUDNN_ATTENTION),
            ("memory-efficient", Backend.EFFICIENT_ATTENTION)]

def times(**options):
    def forward():
        with torch.no_grad():
            attention(*inputs, **options, **grouped)
    def both():
        torch.autograd.grad(attention(*inputs, **options, **grouped), inputs, dout)
    fastest = {"forward": float("inf"), "both": float("inf"), "kernel": ""}
    for name, backend in kernels():
        try:
            if backend is None:
                times = {"forward": best(forward), "both": best(both)}
            else:
                from torch.nn.attention import sdpa_kernel
                with sdpa_kernel(backend):
                    times = {"forward": best(forward), "both": best(both)}
        except RuntimeError:
            if not on_gpu:
                raise
            continue  # a kernel that does not take this problem
        if times["both"] < fastest["both"]:
            fastest["both"], fastest["kernel"] = times["both"], name
        fastest["forward"] = min(fastest["forward"], times["forward"])
    if fastest["both"] == float("inf"):
        raise RuntimeError("none of PyTorch's fused kernels takes this problem")
    return fastest

result = {"version": torch.__version__}
if request["with_dense"]:
    result["dense"] = times()
if request["pattern"] == "dense":
    result["pattern"] = result["dense"]
elif request["pattern"] == "causal":
    result["pattern"] = times(is_causal=True)
else:
    mask = torch.from_file(request["mask"], size=n * n, dtype=torch.uint8).reshape(n, n).bool()
    mask = mask.to(device)
    result["pattern"] = times(attn_mask=mask)
print(json.dumps(result))
)py";

/// One byte a pair.
void write_mask(const std::string& path, const AttentionPattern& pattern, int64_t n) {
  std::string bytes(static_cast<size_t>(n * n), '\0');
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      bytes[static_cast<size_t>(i * n + j)] = pattern.allowed(0, 0, i, j) ? 1 : 0;
  write_file_atomically(path, bytes);
}

/// What `python` prints when it runs the script; status: its exit status.
std::string output_of(const std::string& python, const Config& request, const std::string& log,
                      int* status) {
  using namespace std::chrono_literals;
  recipes::ChildProcess child({"/usr/bin/env", python, "-c", kScript, request.to_json()}, {}, log);
  while (!child.ended()) std::this_thread::sleep_for(5ms);
  *status = child.status();
  return std::filesystem::exists(log) ? read_file(log) : "";
}

AttentionTiming timing(const Config& from) {
  return {from.at("forward").as_number(), from.at("both").as_number()};
}

}  // namespace

std::optional<PyTorchTimings> time_pytorch(const std::string& python, const AttentionShape& shape,
                                           const AttentionPattern& pattern, double seconds,
                                           const AttentionTiming* dense, std::string* note) {
  const TemporaryFolder folder;
  const bool causal = pattern.text() == AttentionPattern::causal().text();
  const bool masked = !pattern.is_dense() && !causal;
  if (masked) write_mask(folder.file("mask"), pattern, shape.tokens);
  Config request = Config::map();
  request.set("threads", thread_count());
  request.set("device", shape.device.to_string());
  request.set("batch", shape.batch);
  request.set("heads", shape.heads);
  request.set("kv_heads", shape.key_heads());
  request.set("tokens", shape.tokens);
  request.set("head_dim", shape.head_dim);
  request.set("dtype", shape.dtype == DType::bf16 ? "bf16" : "f32");
  request.set("seconds", seconds);
  request.set("pattern", masked ? "mask" : causal ? "causal" : "dense");
  request.set("mask", folder.file("mask"));
  request.set("with_dense", dense == nullptr || pattern.is_dense());
  int status = 0;
  const std::string output = output_of(python, request, folder.file("output"), &status);
  const size_t at =
      output.rfind("\n{") == std::string::npos ? output.find('{') : output.rfind("\n{");
  if (status != 0 || at == std::string::npos) {
    *note = status == 127 ? fmt::format("PyTorch was not measured: there is no Python '{}'", python)
                          : fmt::format("PyTorch was not measured: '{}' ended with status {}: {}",
                                        python, status, output.substr(0, 400));
    return std::nullopt;
  }
  const Config result = parse_json(output.substr(at), "PyTorch's times");
  if (const Config* error = result.find("error")) {
    *note = fmt::format("PyTorch was not measured: '{}' {}", python, error->as_string());
    return std::nullopt;
  }
  const Config* measured = result.find("dense");
  return PyTorchTimings{result.at("version").as_string(), timing(result.at("pattern")),
                        measured ? timing(*measured) : *dense,
                        result.at("pattern").at("kernel").as_string(), masked};
}

}  // namespace heed::tools
