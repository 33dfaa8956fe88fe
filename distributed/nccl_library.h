// The functions of NCCL that heed calls. The library is opened with the first communicator: it is
// large, and most runs have one rank or no device.
#pragma once

#include <nccl.h>

#include <string>

#include "core/shared_library.h"

namespace heed {

struct Nccl {
  SharedLibrary library{"libnccl.so." + std::to_string(NCCL_MAJOR), HEED_NCCL_LIBRARIES,
                        "NCCL " + std::to_string(NCCL_MAJOR)};
  decltype(&ncclAllGather) all_gather = library.find("ncclAllGather");
  decltype(&ncclAllReduce) all_reduce = library.find("ncclAllReduce");
  decltype(&ncclBroadcast) broadcast = library.find("ncclBroadcast");
  decltype(&ncclCommAbort) abort = library.find("ncclCommAbort");
  decltype(&ncclCommDestroy) destroy = library.find("ncclCommDestroy");
  decltype(&ncclCommFinalize) finalize = library.find("ncclCommFinalize");
  decltype(&ncclCommGetAsyncError) get_async_error = library.find("ncclCommGetAsyncError");
  decltype(&ncclCommInitRankConfig) init_rank_config = library.find("ncclCommInitRankConfig");
  decltype(&ncclCommSplit) split = library.find("ncclCommSplit");
  decltype(&ncclGetErrorString) get_error_string = library.find("ncclGetErrorString");
  decltype(&ncclGetLastError) get_last_error = library.find("ncclGetLastError");
  decltype(&ncclGetUniqueId) get_unique_id = library.find("ncclGetUniqueId");
  decltype(&ncclGroupEnd) group_end = library.find("ncclGroupEnd");
  decltype(&ncclGroupStart) group_start = library.find("ncclGroupStart");
  decltype(&ncclRecv) recv = library.find("ncclRecv");
  decltype(&ncclReduceScatter) reduce_scatter = library.find("ncclReduceScatter");
  decltype(&ncclSend) send = library.find("ncclSend");
};

/// An Error where NCCL is not on this machine.
inline const Nccl& nccl() {
  static const auto* opened = new Nccl;
  return *opened;
}

}  // namespace heed
