#include "distributed/nccl_communicator.h"

#include <cuda_runtime_api.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "core/cuda/stream.h"
#include "distributed/mpi_runtime.h"
#include "distributed/nccl_library.h"
#include "distributed/world.h"

namespace heed {
namespace {

void check_cuda(cudaError_t code, const char* operation) {
  if (code != cudaSuccess) fail("{}: CUDA reports: {}", operation, cudaGetErrorString(code));
}

ncclDataType_t type_of(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case DType::f32:
      return ncclFloat32;
    case DType::f64:
      return ncclFloat64;
    case DType::f16:
      return ncclFloat16;
    case DType::bf16:
      return ncclBfloat16;
    case DType::i32:
      return ncclInt32;
    case DType::i64:
      return ncclInt64;
    case DType::u8:
    case DType::boolean:
      return ncclUint8;
  }
  fail("a tensor of {} cannot be sent", name_of(tensor.dtype()));
}

ncclRedOp_t op_of(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return ncclSum;
    case ReduceOp::mean:
      return ncclAvg;
    case ReduceOp::max:
      return ncclMax;
    case ReduceOp::min:
      return ncclMin;
  }
  return ncclSum;
}

/// For as many ranks.
std::shared_ptr<MpiRuntime> runtime_of(int size) { return size > 1 ? MpiRuntime::get() : nullptr; }

/// Aborts the communicator, so that no rank stays in it, and throws. NCCL says to every rank that
/// something failed, and not where.
[[noreturn]] void fail_nccl(const char* operation, ncclComm_t comm, ncclResult_t state) {
  const std::string more = nccl().get_last_error(comm);
  if (comm != nullptr) nccl().abort(comm);
  fail("{}: NCCL reports to rank {}, of itself or of another: {}{}", operation, launch().rank,
       nccl().get_error_string(state), more.empty() ? "" : "; " + more);
}

/// The streams on which tensors of the current device are computed: heed's own, and the legacy one
/// of memory that others have filled. Heed's does not wait for the legacy one, nor it for heed's.
std::vector<cudaStream_t> computing_streams() { return {cudaStreamLegacy, cuda::current_stream()}; }

/// A communicator of NCCL's, with its stream; all that is under way holds on to it.
class Channel {
 public:
  Channel(ncclComm_t comm, int device, int rank, int size)
      : comm_(comm), device_(device), rank_(rank), size_(size) {
    check_cuda(cudaSetDevice(device_), "nccl");
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "nccl");
  }
  ~Channel() {
    if (comm_ != nullptr) close();  // not aborted
    cudaStreamDestroy(stream_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  ncclComm_t comm() const { return comm_; }
  cudaStream_t stream() const { return stream_; }
  int device() const { return device_; }
  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Throws, with the communicator aborted so that no rank stays in it, where NCCL has found an
  /// error: its own, or that another rank is gone.
  void check(const char* operation) {
    HEED_CHECK(comm_ != nullptr, "{}: its communicator was given up when an operation failed",
               operation);
    ncclResult_t state = ncclSuccess;
    nccl().get_async_error(comm_, &state);
    if (state != ncclSuccess && state != ncclInProgress) give_up(operation, state);
  }

  /// After a call that does not wait: until it has been taken up.
  void settle(ncclResult_t state, const char* operation) {
    Waiting waiting(runtime_.get(), operation);
    while (state == ncclInProgress) {
      if (nccl().get_async_error(comm_, &state) != ncclSuccess) break;
      waiting.idle();
    }
    if (state != ncclSuccess) give_up(operation, state);
  }

  /// Until the event has come.
  void wait(cudaEvent_t event, const char* operation) {
    Waiting(runtime_.get(), operation).until([&] { return come(event, operation); });
  }
  bool come(cudaEvent_t event, const char* operation) {
    check(operation);
    const cudaError_t state = cudaEventQuery(event);
    if (state != cudaErrorNotReady) check_cuda(state, operation);
    return state == cudaSuccess;
  }

 private:
  [[noreturn]] void give_up(const char* operation, ncclResult_t state) {
    fail_nccl(operation, std::exchange(comm_, nullptr), state);
  }

  /// What NCCL still has to do takes moments; where another rank is gone it may never end.
  void close() {
    constexpr auto kLongest = std::chrono::seconds(30);
    const auto end = std::chrono::steady_clock::now() + kLongest;
    Waiting waiting(runtime_.get(), "the end of a communicator");
    ncclResult_t state = nccl().finalize(comm_);
    while (state == ncclInProgress && std::chrono::steady_clock::now() < end) {
      if (nccl().get_async_error(comm_, &state) != ncclSuccess) break;
      waiting.idle();
    }
    if (state == ncclSuccess) {
      nccl().destroy(comm_);
    } else {
      nccl().abort(comm_);
    }
  }

  ncclComm_t comm_;
  cudaStream_t stream_ = nullptr;
  int device_, rank_, size_;
  std::shared_ptr<MpiRuntime> runtime_ = runtime_of(size_);
};

class NcclWork final : public Work::State {
 public:
  /// `launch` enqueues on the channel's stream.
  NcclWork(std::shared_ptr<Channel> channel, const char* operation, std::vector<Tensor> tensors,
           const Tensor& changed, const std::function<ncclResult_t()>& launch)
      : channel_(std::move(channel)),
        operation_(operation),
        tensors_(std::move(tensors)),
        changed_(changed) {
    check_cuda(cudaSetDevice(channel_->device()), operation_);
    check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), operation_);
    // What computes the tensors comes first.
    for (const cudaStream_t before : computing_streams()) {
      check_cuda(cudaEventRecord(event_, before), operation_);
      check_cuda(cudaStreamWaitEvent(channel_->stream(), event_, 0), operation_);
    }
    channel_->settle(launch(), operation_);
    check_cuda(cudaEventRecord(event_, channel_->stream()), operation_);
  }
  ~NcclWork() override { cudaEventDestroy(event_); }

  bool test() override {
    if (!done_ && channel_->come(event_, operation_)) finish();
    return done_;
  }
  void wait() override {
    if (done_) return;
    channel_->wait(event_, operation_);
    finish();
  }

 private:
  void finish() {
    done_ = true;
    if (changed_.defined()) changed_.bump_version();
  }

  std::shared_ptr<Channel> channel_;
  const char* operation_;
  std::vector<Tensor> tensors_;
  Tensor changed_;
  cudaEvent_t event_ = nullptr;
  bool done_ = false;
};

size_t count_of(const Tensor& tensor) { return static_cast<size_t>(tensor.numel()); }

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::shared_ptr<Channel> channel, std::unique_ptr<Communicator> host)
      : channel_(std::move(channel)), host_(std::move(host)) {}

  int rank() const override { return channel_->rank(); }
  int size() const override { return channel_->size(); }
  std::string name() const override { return "nccl"; }

  void barrier() override { host_->barrier(); }
  std::unique_ptr<Communicator> split(int color, int key) override;

 private:
  Work begin_all_reduce(const Tensor& tensor, ReduceOp op) override;
  Work begin_all_gather(const Tensor& tensor, const Tensor& out) override;
  Work begin_reduce_scatter(const Tensor& tensor, const Tensor& out) override;
  Work begin_broadcast(const Tensor& tensor, int root) override;
  Work begin_all_to_all(const Tensor& tensor, const Tensor& out) override;
  Work begin_send(const Tensor& tensor, int to, int tag) override;
  Work begin_receive(const Tensor& tensor, int from, int tag) override;
  Work begin_ring_shift(const Tensor& tensor, const Tensor& out, int step, int tag) override;

  void check(const Tensor& tensor, const char* operation) const {
    HEED_CHECK(tensor.is_contiguous(), "{}: {} is not contiguous", operation, tensor);
    HEED_CHECK(tensor.device().is_cuda() && tensor.device().index == channel_->device(),
               "{}: {} is on {}, this rank's NCCL on cuda:{}", operation, tensor,
               tensor.device().to_string(), channel_->device());
  }
  /// Checks that `whole` is one `part` a rank.
  void check_parts(const Tensor& part, const Tensor& whole, const char* operation) const {
    check(part, operation);
    check(whole, operation);
    HEED_CHECK(part.dtype() == whole.dtype() && part.numel() * size() == whole.numel(),
               "{}: {} is not {} times {}, one for each rank", operation, whole, size(), part);
  }
  void check_rank(int rank, const char* operation) const {
    HEED_CHECK(rank >= 0 && rank < size(), "{}: there is no rank {} among {}", operation, rank,
               size());
  }
  Work start(const char* operation, std::vector<Tensor> tensors, const Tensor& changed,
             const std::function<ncclResult_t()>& launch) {
    return Work(
        std::make_unique<NcclWork>(channel_, operation, std::move(tensors), changed, launch));
  }
  /// Several messages at once.
  template <class Messages>
  static ncclResult_t together(Messages messages) {
    nccl().group_start();
    const ncclResult_t code = messages();
    const ncclResult_t end = nccl().group_end();
    return code != ncclSuccess && code != ncclInProgress ? code : end;
  }
  ncclComm_t comm() const { return channel_->comm(); }
  cudaStream_t stream() const { return channel_->stream(); }

  std::shared_ptr<Channel> channel_;
  std::unique_ptr<Communicator> host_;  ///< of the same ranks
};

Work NcclCommunicator::begin_all_reduce(const Tensor& tensor, ReduceOp op) {
  if (tensor.device().is_cpu()) return host_->start_all_reduce(tensor, op);
  check(tensor, "all_reduce");
  HEED_CHECK(op != ReduceOp::mean || is_floating(tensor.dtype()), "all_reduce: the mean of {}",
             tensor);
  count_sent(2 * tensor.bytes() * (size() - 1) / size());
  return start("all_reduce", {tensor}, tensor, [&] {
    return nccl().all_reduce(tensor.raw(), tensor.raw(), count_of(tensor), type_of(tensor),
                             op_of(op), comm(), stream());
  });
}

Work NcclCommunicator::begin_all_gather(const Tensor& tensor, const Tensor& out) {
  if (tensor.device().is_cpu()) return host_->start_all_gather(tensor, out);
  check_parts(tensor, out, "all_gather");
  count_sent(out.bytes() * (size() - 1) / size());
  return start("all_gather", {tensor, out}, out, [&] {
    return nccl().all_gather(tensor.raw(), out.raw(), count_of(tensor), type_of(tensor), comm(),
                             stream());
  });
}

Work NcclCommunicator::begin_reduce_scatter(const Tensor& tensor, const Tensor& out) {
  if (tensor.device().is_cpu()) return host_->start_reduce_scatter(tensor, out);
  check_parts(out, tensor, "reduce_scatter");
  count_sent(tensor.bytes() * (size() - 1) / size());
  return start("reduce_scatter", {tensor, out}, out, [&] {
    return nccl().reduce_scatter(tensor.raw(), out.raw(), count_of(out), type_of(out), ncclSum,
                                 comm(), stream());
  });
}

Work NcclCommunicator::begin_broadcast(const Tensor& tensor, int root) {
  if (tensor.device().is_cpu()) return host_->start_broadcast(tensor, root);
  check(tensor, "broadcast");
  check_rank(root, "broadcast");
  if (rank() == root) count_sent(tensor.bytes());
  return start("broadcast", {tensor}, tensor, [&] {
    return nccl().broadcast(tensor.raw(), tensor.raw(), count_of(tensor), type_of(tensor), root,
                            comm(), stream());
  });
}

Work NcclCommunicator::begin_all_to_all(const Tensor& tensor, const Tensor& out) {
  if (tensor.device().is_cpu()) return host_->start_all_to_all(tensor, out);
  check(tensor, "all_to_all");
  check(out, "all_to_all");
  HEED_CHECK(tensor.dtype() == out.dtype() && tensor.numel() == out.numel() &&
                 tensor.numel() % size() == 0,
             "all_to_all: {} into {} among {} ranks", tensor, out, size());
  count_sent(tensor.bytes() * (size() - 1) / size());
  return start("all_to_all", {tensor, out}, out, [&] {
    return together([&] {
      const size_t part = count_of(tensor) / static_cast<size_t>(size());
      const size_t bytes = part * static_cast<size_t>(size_of(tensor.dtype()));
      ncclResult_t code = ncclSuccess;
      for (int r = 0; r < size() && code == ncclSuccess; ++r) {
        const size_t at = static_cast<size_t>(r) * bytes;
        code = nccl().send(static_cast<std::byte*>(tensor.raw()) + at, part, type_of(tensor), r,
                           comm(), stream());
        if (code != ncclSuccess) break;
        code = nccl().recv(static_cast<std::byte*>(out.raw()) + at, part, type_of(out), r, comm(),
                           stream());
      }
      return code;
    });
  });
}

Work NcclCommunicator::begin_send(const Tensor& tensor, int to, int tag) {
  if (tensor.device().is_cpu()) return host_->start_send(tensor, to, tag);
  check(tensor, "send");
  check_rank(to, "send");
  count_sent(tensor.bytes());
  return start("send", {tensor}, Tensor(), [&] {
    return nccl().send(tensor.raw(), count_of(tensor), type_of(tensor), to, comm(), stream());
  });
}

Work NcclCommunicator::begin_receive(const Tensor& tensor, int from, int tag) {
  if (tensor.device().is_cpu()) return host_->start_receive(tensor, from, tag);
  check(tensor, "receive");
  check_rank(from, "receive");
  return start("receive", {tensor}, tensor, [&] {
    return nccl().recv(tensor.raw(), count_of(tensor), type_of(tensor), from, comm(), stream());
  });
}

Work NcclCommunicator::begin_ring_shift(const Tensor& tensor, const Tensor& out, int step,
                                        int tag) {
  if (tensor.device().is_cpu()) return host_->start_ring_shift(tensor, out, step, tag);
  check(tensor, "ring_shift");
  check(out, "ring_shift");
  HEED_CHECK(tensor.dtype() == out.dtype() && tensor.numel() == out.numel(),
             "ring_shift: {} into {}", tensor, out);
  const auto around = [n = size()](int r) { return (r % n + n) % n; };
  count_sent(tensor.bytes());
  return start("ring_shift", {tensor, out}, out, [&] {
    return together([&] {
      const ncclResult_t code = nccl().send(tensor.raw(), count_of(tensor), type_of(tensor),
                                            around(rank() + step), comm(), stream());
      if (code != ncclSuccess) return code;
      return nccl().recv(out.raw(), count_of(out), type_of(out), around(rank() - step), comm(),
                         stream());
    });
  });
}

/// Calls return at once, so that a rank that is gone does not hold the others.
ncclConfig_t without_waiting() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

/// A communicator that is being made among so many ranks, once NCCL says that it is.
ncclComm_t made(ncclResult_t state, const ncclComm_t& comm, const char* what, int size) {
  const std::shared_ptr<MpiRuntime> runtime = runtime_of(size);
  Waiting waiting(runtime.get(), what);
  while (state == ncclInProgress) {
    if (nccl().get_async_error(comm, &state) != ncclSuccess) break;
    waiting.idle();
  }
  if (state != ncclSuccess) fail_nccl(what, comm, state);
  return comm;
}

std::unique_ptr<Communicator> NcclCommunicator::split(int color, int key) {
  HEED_CHECK(color >= 0, "split: color {} is negative", color);
  auto host = host_->split(color, key);
  ncclConfig_t config = without_waiting();
  ncclComm_t part = nullptr;
  channel_->settle(nccl().split(comm(), color, key, &part, &config), "split");
  part = made(ncclInProgress, part, "split", size());
  const int own = host->rank(), count = host->size();
  return std::make_unique<NcclCommunicator>(
      std::make_shared<Channel>(part, channel_->device(), own, count), std::move(host));
}

}  // namespace

int nccl_device() {
  int devices = 0;
  const cudaError_t code = cudaGetDeviceCount(&devices);
  if (code != cudaSuccess || devices == 0) {
    fail("nccl: there is no CUDA device on this machine ({})",
         code == cudaSuccess ? "0 found" : cudaGetErrorString(code));
  }
  if (launch().local_size > devices) {
    fail("nccl: {} ranks on a machine with {} CUDA device{}: NCCL wants one a rank",
         launch().local_size, devices, devices == 1 ? "" : "s");
  }
  return launch().local_rank;
}

std::unique_ptr<Communicator> nccl_communicator(Communicator& host) {
  int device = 0;
  ncclUniqueId id{};
  agree(host, [&] {
    device = nccl_device();
    check_cuda(cudaSetDevice(device), "nccl");
    if (host.rank() == 0 && nccl().get_unique_id(&id) != ncclSuccess) {
      fail("nccl: no id for the ranks to meet by: {}", nccl().get_last_error(nullptr));
    }
  });
  const Tensor bytes = Tensor::zeros({static_cast<int64_t>(sizeof id)}, DType::u8);
  std::memcpy(bytes.raw(), &id, sizeof id);
  host.broadcast(bytes, 0);
  std::memcpy(&id, bytes.raw(), sizeof id);

  ncclConfig_t config = without_waiting();
  ncclComm_t comm = nullptr;
  const ncclResult_t state = nccl().init_rank_config(&comm, host.size(), id, host.rank(), &config);
  comm = made(state, comm, "nccl", host.size());
  return std::make_unique<NcclCommunicator>(
      std::make_shared<Channel>(comm, device, host.rank(), host.size()),
      host.split(0, host.rank()));
}

}  // namespace heed
