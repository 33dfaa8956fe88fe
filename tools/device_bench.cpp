#include "tools/device_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "core/device_runtime.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/readable.h"
#include "core/tensor.h"
#include "tools/device_rates.h"
#include "tools/device_timing.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

struct DeviceBench {
  std::string device = "cpu";
  double seconds = 1.0;
  int64_t mebibytes = 0;
  std::vector<int64_t> sizes;
  bool json = false;
};

struct Product {
  DType dtype;
  int64_t size;
  double flops;  // a second
};

/// Bytes a second over the link to the device, from ordinary host memory.
double transfer_rate(Device device, int64_t bytes, double seconds, bool to_device) {
  const auto size = static_cast<size_t>(bytes);
  const Tensor host = Tensor::full({bytes}, 1.0, DType::u8), there = host.to(device);
  const auto run = [&] {
    if (to_device) {
      copy_bytes(device, there.raw(), kCpu, host.raw(), size);
    } else {
      copy_bytes(kCpu, host.raw(), device, there.raw(), size);
    }
  };
  return static_cast<double>(bytes) / best_seconds(seconds, run, device);
}

void bench_device(const DeviceBench& b) {
  const Device device = device_of_option(b.device);
  const bool gpu = !device.is_cpu();
  const int64_t bytes = (b.mebibytes > 0 ? b.mebibytes : gpu ? 1024 : 128) << 20;
  std::vector<int64_t> sizes = b.sizes;
  if (sizes.empty()) sizes = gpu ? std::vector<int64_t>{4096, 8192} : std::vector<int64_t>{1024};

  const double copied = copy_rate(device, bytes, b.seconds);
  std::vector<Product> products;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const int64_t size : sizes)
      products.push_back({dtype, size, product_rate(device, dtype, size, b.seconds)});
  }
  const int64_t sent = std::min<int64_t>(bytes, 256 << 20);
  const double up = gpu ? transfer_rate(device, sent, b.seconds, true) : 0.0;
  const double down = gpu ? transfer_rate(device, sent, b.seconds, false) : 0.0;

  if (b.json) {
    Config list = Config::list();
    for (const Product& p : products) {
      Config one = Config::map();
      one.set("dtype", name_of(p.dtype));
      one.set("size", p.size);
      one.set("tflops", 1e-12 * p.flops);
      list.append(one);
    }
    Config document = Config::map();
    document.set("device", device.to_string());
    document.set("threads", thread_count());
    document.set("copy_bytes", bytes);
    document.set("copy_gb_s", 1e-9 * copied);
    document.set("products", list);
    if (gpu) {
      document.set("to_device_gb_s", 1e-9 * up);
      document.set("from_device_gb_s", 1e-9 * down);
    }
    return print_json(document);
  }
  Table table;
  table.row({"copy", fmt::format("{:.1f} GB/s read and written ({} copied)", 1e-9 * copied,
                                 format_bytes(bytes))});
  for (const Product& p : products) {
    table.row({fmt::format("product, {}", name_of(p.dtype)),
               fmt::format("{:.1f} GFLOP/s ({} x {})", 1e-9 * p.flops, p.size, p.size)});
  }
  if (gpu) {
    table.row({"to the device", fmt::format("{:.1f} GB/s", 1e-9 * up)});
    table.row({"from the device", fmt::format("{:.1f} GB/s", 1e-9 * down)});
  }
  fmt::print("{}\n{}", place_text(device), table.to_string());
}

}  // namespace

void add_bench_device(CLI::App& bench) {
  auto arguments = std::make_shared<DeviceBench>();
  DeviceBench& b = *arguments;
  CLI::App* command =
      add_command(bench, "device", "measures a device's ceilings: copies and matrix products");
  details(command,
          "What kernels on the device are compared with: bytes read and written a second by a copy "
          "of a large tensor, FLOP/s of square products of random matrices, and on a GPU the link "
          "to the host.");
  option(command, "--device", "DEVICE", b.device, "cpu, cuda or cuda:N");
  option(command, "--seconds", "S", b.seconds, "to measure each for")->check(CLI::Range(0.0, 60.0));
  option(command, "--mib", "N", b.mebibytes, "to copy; 0: 1024 on a GPU, 128 on the CPU")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  option(command, "--sizes", "N ...", b.sizes,
         "of the products; default: 4096 8192 on a GPU, 1024 on the CPU", false)
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16));
  command->add_flag("--json", b.json, "print one JSON document");
  examples(command, {{"heed bench device --device cuda", ""},
                     {"heed bench device --sizes 512 2048 --json", ""}});
  command->callback([arguments] { bench_device(*arguments); });
}

}  // namespace heed::tools
