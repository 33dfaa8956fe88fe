#include "distributed/world.h"

#include <cstdlib>
#include <exception>

#include "core/device_runtime.h"

#ifdef HEED_WITH_MPI
#include "distributed/mpi_communicator.h"
#include "distributed/staged_communicator.h"
#else
#include <cstdio>
#endif
#ifdef HEED_WITH_NCCL
#include "distributed/nccl_communicator.h"
#endif

namespace heed {
namespace {

/// The first of the variables that is set to a number, else `otherwise`.
int from_environment(std::initializer_list<const char*> names, int otherwise) {
  for (const char* name : names) {
    const char* text = std::getenv(name);
    if (text == nullptr) continue;
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    if (end != text && *end == '\0') return static_cast<int>(value);
  }
  return otherwise;
}

// OpenMPI, MPICH and its like; srun sets SLURM_* for every job step, MPI or not, and PMIX_RANK or
// PMI_RANK where it starts MPI ranks.
Launch read_launch() {
  const bool slurm = std::getenv("PMIX_RANK") != nullptr && std::getenv("SLURM_NTASKS") != nullptr;
  Launch found;
  found.size = from_environment({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"},
                                slurm ? from_environment({"SLURM_NTASKS"}, 1) : 1);
  if (found.size <= 1) return {};
  found.rank = from_environment({"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}, 0);
  found.local_rank =
      from_environment({"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"}, 0);
  found.local_size = from_environment(
      {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"}, 1);
  return found;
}

constexpr int kFine = 0, kFailed = 1, kWrongRequest = 2;  // of a function, on one rank

}  // namespace

const Launch& launch() {
  static const Launch found = read_launch();
  return found;
}

Communicator& world() {
  static const std::unique_ptr<Communicator> all = [] {
    if (launch().size == 1) return self_communicator();
#ifdef HEED_WITH_MPI
    return staged(mpi_world());
#else
    throw AgreedRequestError(fmt::format(
        "{} ranks were started, but this heed was built without MPI: build it where OpenMPI is "
        "installed, or start it alone",
        launch().size));
#endif
  }();
  return *all;
}

Communicator& world_on(Device device) {
#ifdef HEED_WITH_NCCL
  if (launch().size == 1 || device.is_cpu()) return world();
  // Devices are dealt in turn, so a rank has its own where there are as many as ranks.
  const bool own = device.index == launch().local_rank &&
                   device_runtime(device, "device").device_count() >= launch().local_size;
  static const bool all_own = world().all_reduce_number(own ? 1.0 : 0.0, ReduceOp::min) > 0.0;
  if (!all_own) return world();
  static const std::unique_ptr<Communicator> over_nccl = nccl_communicator(world());
  return *over_nccl;
#else
  static_cast<void>(device);
  return world();
#endif
}

Device device_of_rank(const std::string& name) {
  Device device = device_from_name(name);
  const bool any = device.is_cuda() && name.find(':') == std::string::npos;
  if (any && launch().size > 1)
    device.index = launch().local_rank % device_runtime(device, "device").device_count();
  return device;
}

#ifndef HEED_WITH_MPI
void set_watchdog(double) {}

double seconds_waited() { return 0.0; }

void abort_world(const std::string& message, int status) {
  fmt::print(stderr, "error: {}\n", message);
  std::_Exit(status);
}
#endif

void agree(Communicator& communicator, const std::function<void()>& fn) {
  if (communicator.size() == 1) return fn();
  int outcome = kFine;
  std::string message;
  try {
    fn();
  } catch (const RequestError& error) {
    outcome = kWrongRequest;
    message = error.what();
  } catch (const std::exception& error) {
    outcome = kFailed;
    message = error.what();
  }
  if (communicator.all_reduce_number(outcome, ReduceOp::max) == kFine) return;
  const std::vector<std::string> outcomes =
      communicator.all_gather_text(fmt::format("{}{}", outcome, message));
  bool everywhere_alike = true;
  for (const std::string& text : outcomes) everywhere_alike &= text == outcomes[0];
  for (size_t rank = 0; rank < outcomes.size(); ++rank) {
    const int kind = outcomes[rank][0] - '0';
    if (kind == kFine) continue;
    std::string text = outcomes[rank].substr(1);
    if (!everywhere_alike) text = fmt::format("rank {}: {}", rank, text);
    if (kind == kWrongRequest) throw AgreedRequestError(text);
    throw AgreedError(text);
  }
}

}  // namespace heed
