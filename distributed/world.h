// The ranks of this run: one process each, started by mpirun or srun; one alone without them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "distributed/communicator.h"

namespace heed {

/// Which rank this process is, as its launcher's environment says; MPI is not started for it.
struct Launch {
  int rank = 0;
  int size = 1;
  int local_rank = 0;  ///< among the ranks on this machine
  int local_size = 1;
};
const Launch& launch();

/// The communicator of all ranks: MPI's where a launcher started several, else self. Starts MPI on
/// first use. A RequestError where several ranks were started and heed was built without MPI.
Communicator& world();

/// world() for tensors on that device, as device_of_rank() chose it: over NCCL where this build has
/// it and each rank of every machine has a device to itself, else world() itself, which passes them
/// through the host. Every rank calls it.
Communicator& world_on(Device device);

/// The device that a rank works on: "cuda" is one of the host's for each rank in turn (several
/// ranks share one where there are fewer), "cuda:1" that one for all, "cpu" itself.
Device device_of_rank(const std::string& name);

/// A rank that waits longer than this for the others ends the run on all ranks with one message
/// that says who is missing and what it does. 0 waits for ever.
void set_watchdog(double seconds);

/// Seconds that this rank has waited so far, for others and for data: what its own work did not
/// hide.
double seconds_waited();

/// Ends every rank at once: this rank prints "error: rank R: message", all exit with `status`.
[[noreturn]] void abort_world(const std::string& message, int status);

/// Errors that every rank throws alike: rank 0 tells, and all end in good order. Any other error
/// ends the run by abort_world().
struct AgreedError : Error {
  using Error::Error;
};
struct AgreedRequestError : RequestError {
  using RequestError::RequestError;
};

/// Calls fn, which talks to no other rank, on every rank, then compares notes: where it threw on
/// any, all throw the first such rank's error (AgreedRequestError or AgreedError). With one rank,
/// what fn throws. So that a rank that cannot go on does not leave the others waiting.
void agree(Communicator& communicator, const std::function<void()>& fn);

}  // namespace heed
