#include "tools/collectives_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>

#include "core/files.h"
#include "core/readable.h"
#include "distributed/world.h"
#include "recipes/engine/statistics.h"
#include "tools/text.h"

#if HEED_WITH_MPI
#include "distributed/mpi_plain.h"
#endif

namespace heed::tools {

int64_t size_from_text(const std::string& text) {
  const std::string suffixes = "KMG";
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string rest = text.substr(digits);
  const size_t power = rest.empty() ? 0 : suffixes.find(rest[0]) + 1;
  const bool good = digits > 0 && digits <= 10 && rest.size() <= 1 &&
                    (rest.empty() || suffixes.find(rest[0]) != std::string::npos);
  const int64_t number = good ? std::stoll(text.substr(0, digits)) : 0;
  const bool fits = number <= (int64_t{4} << 30) >> (10 * power);
  const int64_t bytes = fits ? number << (10 * power) : 0;
  if (bytes < 4) {
    fail_request("--sizes: '{}' is not a size of 4 bytes to 4G, like 64K or 16M", text);
  }
  return bytes;
}

double bus_factor(Collective what, int64_t ranks) {
  const auto n = static_cast<double>(ranks);
  switch (what) {
    case Collective::all_reduce:
      return 2 * (n - 1) / n;
    case Collective::all_gather:
    case Collective::reduce_scatter:
    case Collective::all_to_all:
      return (n - 1) / n;
    case Collective::broadcast:
    case Collective::ring_shift:
    case Collective::ping_pong:
      return 1;
  }
  return 1;
}

namespace {

struct CollectivesArguments {
  std::vector<std::string> sizes = {"4", "4K", "256K", "4M"};
  double seconds = 0.1;
  std::string device = "cpu";
  bool json = false;
};

#if HEED_WITH_MPI

struct Kind {
  Collective what;
  const char* name;
};
constexpr Kind kKinds[] = {{Collective::all_reduce, "all_reduce"},
                           {Collective::all_gather, "all_gather"},
                           {Collective::reduce_scatter, "reduce_scatter"},
                           {Collective::all_to_all, "all_to_all"},
                           {Collective::broadcast, "broadcast"},
                           {Collective::ring_shift, "ring_shift"},
                           {Collective::ping_pong, "ping_pong"}};

/// One operation at one size.
struct Measurement {
  const char* name;
  Collective what;
  int64_t bytes;
  double seconds = 0.0;        ///< of ours; of a message one way for ping_pong
  double plain_seconds = 0.0;  ///< of MPI's own call

  double algorithm_gb_s() const { return 1e-9 * static_cast<double>(bytes) / seconds; }
  double bus_gb_s(int64_t ranks) const { return algorithm_gb_s() * bus_factor(what, ranks); }
};

void ours(Communicator& ranks, Collective what, const Tensor& tensor, const Tensor& out) {
  switch (what) {
    case Collective::all_reduce:
      return ranks.all_reduce(tensor);
    case Collective::all_gather:
      return ranks.all_gather(tensor, out);
    case Collective::reduce_scatter:
      return ranks.reduce_scatter(tensor, out);
    case Collective::broadcast:
      return ranks.broadcast(tensor, 0);
    case Collective::all_to_all:
      return ranks.all_to_all(tensor, out);
    case Collective::ring_shift:
      return ranks.start_ring_shift(tensor, out).wait();
    case Collective::ping_pong:
      if (ranks.rank() == 0) {
        ranks.send(tensor, 1);
        ranks.receive(tensor, 1);
      } else if (ranks.rank() == 1) {
        ranks.receive(tensor, 0);
        ranks.send(tensor, 0);
      }
  }
}

/// Seconds of one call, the slowest rank's.
double time_of(Communicator& ranks, int64_t calls, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  ranks.barrier();
  const auto begin = Clock::now();
  for (int64_t i = 0; i < calls; ++i) call();
  const double own = std::chrono::duration<double>(Clock::now() - begin).count();
  return ranks.all_reduce_number(own, ReduceOp::max) / static_cast<double>(calls);
}

Measurement measure(Communicator& ranks, Device device, const Kind& kind, int64_t bytes,
                    double seconds) {
  // The size is that of the whole: of all ranks' parts where these differ.
  const int64_t n = ranks.size();
  const bool in_parts = kind.what == Collective::all_gather ||
                        kind.what == Collective::reduce_scatter ||
                        kind.what == Collective::all_to_all;
  const int64_t part = std::max<int64_t>(1, bytes / 4 / (in_parts ? n : 1));
  const int64_t whole = in_parts ? part * n : part;
  const bool gathers = kind.what == Collective::all_gather;
  const bool scatters = kind.what == Collective::reduce_scatter;
  const Tensor tensor = Tensor::zeros({gathers ? part : whole});
  const Tensor out = Tensor::zeros({scatters ? part : whole});
  const Tensor own_tensor = tensor.to(device), own_out = out.to(device);

  const std::function<void()> own = [&] { ours(ranks, kind.what, own_tensor, own_out); };
  const std::function<void()> plain = [&] { plain_mpi(kind.what, tensor, out); };
  constexpr int kRounds = 7, kWarmUp = 3;
  time_of(ranks, kWarmUp, plain);
  const double once = time_of(ranks, kWarmUp, own);  // the same on all ranks
  const auto calls = static_cast<int64_t>(std::clamp(seconds / kRounds / once, 1.0, 1e5));
  std::vector<double> mine, others;
  for (int round = 0; round < kRounds; ++round) {
    mine.push_back(time_of(ranks, calls, own));
    others.push_back(time_of(ranks, calls, plain));
  }
  const double ways = kind.what == Collective::ping_pong ? 2.0 : 1.0;
  return {kind.name, kind.what, whole * 4, recipes::quantile(mine, 0.5) / ways,
          recipes::quantile(others, 0.5) / ways};
}

Config to_config(const Measurement& m, int64_t ranks) {
  Config one = Config::map();
  one.set("operation", m.name);
  one.set("bytes", m.bytes);
  one.set("microseconds", 1e6 * m.seconds);
  one.set("algorithm_gb_s", m.algorithm_gb_s());
  one.set("bus_gb_s", m.bus_gb_s(ranks));
  one.set("mpi_microseconds", 1e6 * m.plain_seconds);
  one.set("times_mpi", m.seconds / m.plain_seconds);
  return one;
}

void bench_collectives(const CollectivesArguments& arguments) {
  if (launch().size == 1) {
    fail_request(
        "heed bench collectives measures what several ranks say to each other: start it as "
        "mpirun -np 4 heed bench collectives");
  }
  std::vector<int64_t> sizes;
  Device device;
  agree(world(), [&] {
    device = device_of_rank(arguments.device);
    for (const std::string& text : arguments.sizes) sizes.push_back(size_from_text(text));
    std::sort(sizes.begin(), sizes.end());
  });
  Communicator& ranks = world_on(device);
  const bool speaks = ranks.rank() == 0;
  Config results = Config::list();
  Table table({"operation", "size", "time", "algorithm", "bus", "MPI's time", "times MPI's"},
              {1, 2, 3, 4, 5, 6});
  for (const Kind& kind : kKinds) {
    for (const int64_t size : sizes) {
      const Measurement m = measure(ranks, device, kind, size, arguments.seconds);
      results.append(to_config(m, ranks.size()));
      table.row({m.name, format_bytes(m.bytes), duration_text(m.seconds),
                 fmt::format("{:.3f} GB/s", m.algorithm_gb_s()),
                 fmt::format("{:.3f} GB/s", m.bus_gb_s(ranks.size())),
                 duration_text(m.plain_seconds),
                 fmt::format("{:.2f}", m.seconds / m.plain_seconds)});
    }
  }
  if (!speaks) return;
  if (arguments.json) {
    Config document = Config::map();
    document.set("ranks", static_cast<int64_t>(ranks.size()));
    document.set("communicator", ranks.name());
    document.set("device", arguments.device);
    document.set("dtype", "f32");
    document.set("results", std::move(results));
    return print_json(document);
  }
  fmt::print(
      "{} ranks, {}, {}, f32; bus bandwidth as nccl-tests defines it; ping_pong: one way\n\n{}",
      ranks.size(), ranks.name(), arguments.device, table.to_string(0));
}

#else

void bench_collectives(const CollectivesArguments&) {
  world();  // says it to several ranks, once
  fail_request(
      "this heed was built without MPI, which heed bench collectives measures: build it where "
      "OpenMPI is installed");
}

#endif

}  // namespace

void add_bench_collectives(CLI::App& bench) {
  auto arguments = std::make_shared<CollectivesArguments>();
  CLI::App* command = add_command(bench, "collectives",
                                  "measures what ranks say to each other beside MPI's own calls");
  details(command,
          "Started by mpirun or srun. Each operation is timed in turn with the MPI call that does "
          "the same on f32 in host memory; of several rounds the median counts, of the ranks the "
          "slowest. Times MPI's above 1: ours is slower. On devices ours goes over NCCL where each "
          "rank has one to itself, else through the host.");
  option(command, "--sizes", "SIZE ...", arguments->sizes,
         "bytes of an operation, of all ranks' parts: 4K 1M 64M (K, M, G are powers of 1024; each "
         "rank holds up to two tensors of that size)");
  option(command, "--seconds", "S", arguments->seconds, "time for each operation and size")
      ->check(CLI::Range(0.001, 3600.0));
  option(command, "--device", "DEVICE", arguments->device,
         "where our tensors are: cpu, cuda (one of the machine's for each rank in turn), cuda:0");
  command->add_flag("--json", arguments->json, "print one JSON document");
  examples(command, {{"mpirun -np 4 heed bench collectives", ""},
                     {"mpirun -np 2 heed bench collectives --sizes 4 1M 64M --json", ""}});
  command->callback([arguments] { bench_collectives(*arguments); });
}

}  // namespace heed::tools
